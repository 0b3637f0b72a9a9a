package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"stockflow/kafkaport"
	"stockflow/replay"
)

const (
	// usualPort is where Kafka's clients look first.
	usualPort = "127.0.0.1:9092"
	// autoPort asks for usualPort, or for any other where that is taken.
	autoPort = "auto"
	noPort   = "off"
)

// checkPort returns what is wrong with --kafka.
func (s Serve) checkPort() error {
	switch {
	case s.Kafka == "" || s.Kafka == autoPort || s.Kafka == noPort:
		return nil
	case len(s.Brokers) > 0:
		return errors.New("--kafka: is for the journal, and with --brokers there is none")
	}
	host, _, err := net.SplitHostPort(s.Kafka)
	if err != nil {
		return fmt.Errorf("--kafka: must be HOST:PORT, auto or off, is %q", s.Kafka)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--kafka: must be an address of this machine alone, such as %s, for nobody logs in there; is %q", usualPort, s.Kafka)
	}
	return nil
}

// startPort speaks Kafka's protocol in front of the journal.
func (s *Server) startPort(ctx context.Context) error {
	if s.journal == nil || s.serve.Kafka == "" || s.serve.Kafka == noPort {
		return nil
	}
	l, note, err := s.listenKafka(ctx)
	if err != nil {
		return fmt.Errorf("--kafka: %w", err)
	}
	s.kafkaNote = l.Addr().String() + note
	c := kafkaport.Config{Journal: s.journal, Log: s.log, Limits: kafkaport.Limits{Connections: s.room.port}}
	for _, m := range replay.Machines {
		c.Writable = append(c.Writable, m.Log)
		c.Groups = append(c.Groups, m.Name)
	}
	port := kafkaport.New(c)
	s.start("kafka port", func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = port.Close() })
		defer stop()
		return port.Serve(l)
	})
	return nil
}

// listenKafka listens where it is asked to. note says why it is elsewhere, if it is.
func (s *Server) listenKafka(ctx context.Context) (l net.Listener, note string, err error) {
	address := s.serve.Kafka
	if address == autoPort {
		address = usualPort
	}
	err = afterLeaving(ctx, s.serve.Data, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if errors.Is(err, syscall.EADDRINUSE) && s.serve.Kafka == autoPort {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		note = " (" + usualPort + " is taken)"
	}
	return l, note, err
}
