package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"slices"
	"syscall"

	"stockflow/api"
	"stockflow/journal"
)

// Serve runs the journal, the processors, the views and the HTTP API in one process.
type Serve struct {
	HTTP       string   `help:"Address of the HTTP API." default:"127.0.0.1:8080" name:"http"`
	Data       string   `help:"Directory of all that is kept." default:"./data"`
	Kafka      string   `help:"Where Kafka's protocol is spoken in front of the journal, for programs of others: HOST:PORT on this machine, off, or auto, which is 127.0.0.1:9092, or another port if that is taken." default:"auto"`
	Brokers    []string `help:"Kafka brokers to use, HOST:PORT,...; without any, the logs are in a journal in DATA." placeholder:"HOST:PORT"`
	Partitions int32    `help:"Partitions of every log and table, when they are made." default:"8"`
	Roles      []string `help:"What this process does: all, or some of api, order, inventory, shipment, notification." default:"all" enum:"all,api,order,inventory,shipment,notification"`

	MaxInFlight    int     `help:"Requests that are answered at once; what is beyond is answered with 503. 0 is no limit." default:"512"`
	MaxConnections int     `help:"Connections that are open at once; when there are more, the one that was quiet for the longest is closed. 0 is no limit." default:"2048"`
	RateLimit      float64 `help:"Requests a second from one client address; what is beyond is answered with 429. 0 is no limit." default:"0"`

	HTTPHosts      []string `help:"Names and addresses that HTTP may be asked by, beside localhost and the address asked; all others get 421." name:"http-hosts" placeholder:"NAME"`
	TrustedProxies []string `help:"Addresses or networks of proxies that say in X-Forwarded-For for whom they ask." placeholder:"ADDRESS"`

	NoHistory bool `help:"Keep no history of the logs: it takes less disk and work, and nobody can look back over HTTP."`

	Restore     string `help:"Start from a backup: DATA must be empty. Nothing is sent to anybody outside until --take-over." placeholder:"DIR"`
	TakeOver    bool   `help:"Say that the original of the restored backup is gone: from now on e-mails are sent from here."`
	AcceptClock string `help:"Date that the clock shows, where it is so far from the last record that a start is refused." placeholder:"YYYY-MM-DD"`

	Security securityFlags `embed:"" prefix:"brokers-"`

	Mail mailFlags `embed:""`

	journal journal.Options // no flag sets them
}

// Validate returns what is wrong with the flags.
func (s Serve) Validate() error {
	if len(s.Brokers) == 0 && !slices.Equal(s.Roles, []string{"all"}) {
		return errors.New("--roles: is for --brokers: the journal has one process, which does everything")
	}
	if len(s.Brokers) > 0 && (s.Restore != "" || s.TakeOver) {
		return errors.New("--restore and --take-over: are for the journal, and with --brokers there is none")
	}
	_, hosts := api.ParseHosts(s.HTTPHosts)
	_, proxies := api.ParseProxies(s.TrustedProxies)
	return cmp.Or(s.checkPort(), s.pressure().Check(), hosts, proxies)
}

func (s Serve) cluster() cluster { return cluster{s.Brokers, s.Security} }

func (s Serve) pressure() api.Pressure {
	proxies, _ := api.ParseProxies(s.TrustedProxies) // Validate has checked them
	return api.Pressure{InFlight: s.MaxInFlight, Connections: s.MaxConnections, Rate: s.RateLimit, Proxies: proxies}
}

// Run serves until SIGINT or SIGTERM, or until something ends that it can't do without.
func (s Serve) Run(stdout io.Writer, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(s.Brokers) == 0 {
		keepCoresBusy()
	}
	server, err := s.Start(ctx, log)
	if err != nil {
		return err
	}
	for _, line := range server.Listening() {
		fmt.Fprintln(stdout, line)
	}
	go func() { // beside Wait: a part may end before all are ready
		if server.WaitReady(ctx) == nil {
			fmt.Fprintln(stdout, "ready")
		}
	}()
	err = server.Wait(ctx)
	stop() // a second signal ends the process at once
	if err == nil {
		fmt.Fprintln(stdout, "stopping")
	}
	if serr := server.Stop(); err == nil {
		err = serr
	}
	return err
}
