package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/progress"
	"stockflow/replay"
)

// verifyTables folds the logs again and compares.
type verifyTables struct {
	logsAt
	Table []string `help:"Tables to verify: order, inventory, shipment, notification. All if left out; what holds across tables is looked at only then." placeholder:"TABLE"`
	URL   string   `help:"Where HTTP is asked for what it serves. If left out, the running Stockflow of --data; with --brokers, nobody." name:"url"`
	JSON  bool     `help:"Print the result as one JSON object." name:"json"`
	Fold  bool     `help:"Fold the logs and print the digests of the tables that they make; compare them with nothing." name:"fold-only"`
	Work  string   `help:"Directory for what is folded meanwhile and does not fit into memory, about as large as the tables and what HTTP serves; the system's for temporary files if left out." placeholder:"DIR"`
}

// Help is what --help says besides.
func (verifyTables) Help() string {
	return `Each log is folded from its first message, and every row compared with the changelog, and with what HTTP serves, at the same
message. Stockflow may run and be written to meanwhile. Of a journal every checksum is read first. Nothing is changed. With --fold-only nothing is compared: the digests tell
whether two programs, or two copies of the logs, come to the same tables.

The exit code is 0 if all is equal, 1 if there are differences, 2 if it could not be verified.`
}

// The exit codes of verify.
const (
	exitDiffers     = 1
	exitUncheckable = 2
)

// Run verifies, and prints what it came to.
func (c verifyTables) Run(stdout io.Writer, k *kong.Kong, log *slog.Logger) error {
	machines, err := replay.Choose(c.Table...)
	if err != nil {
		return withCode{exitUncheckable, fmt.Errorf("--table: %w", err)}
	}
	url, err := c.where() // before the log is opened, or this process itself would be the one that runs
	if err != nil {
		return withCode{exitUncheckable, err}
	}
	defer frugal()()
	var report *replay.Report
	err = c.run(log, broker.Reading, func(ctx context.Context, conn broker.Broker) (err error) {
		served, err := served(ctx, url)
		if err != nil {
			return err
		}
		if served != nil && len(c.Brokers) == 0 {
			latest := latestLogs{logsAt: c.logsAt, log: log}
			defer func() { err = errors.Join(err, latest.close()) }()
			served.Latest = latest.open
		}
		if local, ok := conn.(broker.Local); ok { // before anything is folded that it can't be read from
			if err := local.Journal().Verify(ctx); err != nil {
				return err
			}
		}
		v := replay.Verification{Conn: conn, Machines: machines, Dir: c.Work, Served: served, Progress: &replay.Progress{}}
		defer watch(v.Progress.Done, k.Stderr, "folding")()
		look := v.Verify
		if c.Fold {
			look = v.Fold
		}
		report, err = look(ctx)
		return err
	})
	if err != nil {
		return withCode{exitUncheckable, err}
	}
	return c.tell(stdout, report)
}

// frugal makes this process collect its garbage sooner, until undo is called. Of what a fold holds, most is in blocks that cost the
// collector nothing, so it is memory that is saved, and little time that is lost. Whoever has set GOGC knows better.
func frugal() (undo func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	frugality.Lock()
	defer frugality.Unlock()
	if frugality.n++; frugality.n == 1 {
		frugality.before = debug.SetGCPercent(25)
	}
	return func() {
		frugality.Lock()
		defer frugality.Unlock()
		if frugality.n--; frugality.n == 0 {
			debug.SetGCPercent(frugality.before)
		}
	}
}

// frugality is how many want it at the moment. The setting is the process's, and the last of them puts it back.
var frugality struct {
	sync.Mutex
	n, before int
}

// where HTTP is asked, "" if there is nobody to ask.
func (c verifyTables) where() (string, error) {
	if c.Fold {
		return "", nil
	}
	if c.URL != "" || len(c.Brokers) > 0 {
		return c.URL, nil
	}
	return servedAt(c.Data)
}

// served is how HTTP is asked.
func served(ctx context.Context, url string) (*replay.Served, error) {
	if url == "" {
		return nil, nil
	}
	s := serving{url: strings.TrimSuffix(url, "/")}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.asked(), nil
}

// latestLogs is the journal once more, up to what is on the disk by now. HTTP serves nothing that isn't.
type latestLogs struct {
	logsAt
	log     *slog.Logger
	journal *journal.Journal // nil until it is opened
}

func (l *latestLogs) open(ctx context.Context) (b broker.Broker, err error) {
	if l.journal, _, err = l.logsAt.open(ctx, l.log, broker.Reading); err != nil {
		return nil, err
	}
	return broker.NewLocal(l.journal), nil
}

func (l *latestLogs) close() error {
	if l.journal == nil {
		return nil
	}
	return l.journal.Close()
}

// tell prints a report, and returns what it means for the exit code.
func (c verifyTables) tell(stdout io.Writer, r *replay.Report) error {
	var err error
	if c.JSON {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = c.write(stdout, r)
	}
	switch {
	case err != nil:
		return withCode{exitUncheckable, err}
	case !r.Equal():
		return withCode{exitDiffers, fmt.Errorf("%d rows are not what their logs make them", int64(len(r.Differences))+r.Hidden)}
	case len(r.Unchecked) > 0:
		return withCode{exitUncheckable, errors.New("not everything could be verified")}
	}
	return nil
}

// write writes a report for people.
func (c verifyTables) write(w io.Writer, r *replay.Report) error {
	var text strings.Builder
	for _, t := range r.Tables {
		fmt.Fprintf(&text, "%-18s %9d messages  %8d rows", t.Table, t.Messages, t.Rows)
		if t.HTTPRows > 0 {
			fmt.Fprintf(&text, ", %d over HTTP", t.HTTPRows)
		}
		fmt.Fprintf(&text, "  digest %s\n", t.Digest)
		for _, p := range t.Partitions {
			fmt.Fprintf(&text, "  %d: offsets below %d, cut %d, %d rows, digest %s\n", p.Partition, p.End, p.Cut, p.Rows, p.Digest)
		}
	}
	for _, d := range r.Differences {
		fmt.Fprintf(&text, "\n%s/%d %q: %s\n", d.Topic, d.Partition, d.Key, d.Problem)
		if d.Parted {
			fmt.Fprintf(&text, "they part at offset %d of %s/%d\n", d.At, d.Log, d.Partition)
		}
		fold, table := d.Rows()
		fmt.Fprintf(&text, "the log makes it:  %s\nthe table has it:  %s\n", fold, table)
		if d.HTTP != nil {
			fmt.Fprintf(&text, "HTTP should serve: %s\nHTTP serves:       %s\n", indented(d.HTTP.Expected), indented(d.HTTP.Served))
		}
	}
	if r.Hidden > 0 {
		fmt.Fprintf(&text, "\nand %d more\n", r.Hidden)
	}
	if a := r.Across; a != nil {
		fmt.Fprintf(&text, "across tables: %d orders, %d SKUs, %d shipments, %d e-mails; %d messages in transit were folded in\n",
			a.Orders, a.SKUs, a.Shipments, a.Mails, a.InTransit)
	}
	for _, u := range r.Unchecked {
		fmt.Fprintf(&text, "not verified: %s\n", u)
	}
	if r.Equal() && len(r.Unchecked) == 0 && !c.Fold {
		text.WriteString("every table is the fold of its log\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// indented writes what HTTP serves of a row as the rows are written, "none" if that is nothing.
func indented(body []byte) string {
	if body == nil {
		return "none"
	}
	var text bytes.Buffer
	if json.Indent(&text, body, "", "  ") != nil {
		return string(body)
	}
	return text.String()
}

// watch shows how many records were read, and of how many.
func watch(read func() (done, all int64), out io.Writer, doing string) (stop func()) {
	return progress.Show(out, func(took time.Duration, bar bool) string {
		done, all := read()
		share := float64(done) / float64(max(all, 1))
		drawn := ""
		if bar {
			drawn = progress.Bar(share) + " "
		}
		return fmt.Sprintf("%s %s%3.0f%% of %d records, %.0f/s, %s left", doing, drawn, share*100, all,
			float64(done)/max(took.Seconds(), 0.001), progress.Left(all-done, done, took))
	})
}
