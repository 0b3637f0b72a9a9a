package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"stockflow/broker"
	"stockflow/journal/files"
	"stockflow/replay"
)

// replayTables makes tables what their logs make them.
type replayTables struct {
	logsAt
	Table  []string `help:"Tables to rebuild: order, inventory, shipment, notification." placeholder:"TABLE" xor:"which"`
	All    bool     `help:"Rebuild all tables." xor:"which"`
	DryRun bool     `help:"Say which rows would change, and change nothing." name:"dry-run"`
	Yes    bool     `help:"Don't ask."`
	JSON   bool     `help:"Print the result as JSON, one object a line: each row that changes, then the summary." name:"json"`
	Work   string   `help:"Directory for what is folded meanwhile and does not fit into memory, about as large as the tables; the system's for temporary files if left out." placeholder:"DIR"`

	terminal *os.File // nil is standard input
}

// Help is what --help says besides.
func (replayTables) Help() string {
	return `Each log is folded from its first message to the last that was processed. Rows that are not what comes out are written again, and
rows that should not be are taken away; nothing else is sent, no e-mail either. What was not processed is left to the processors.
They must be stopped: it refuses while a group has members, or while a Stockflow runs on DATA. If it is broken off, run it again.`
}

// Validate returns what is wrong with the flags.
func (c replayTables) Validate() error {
	if len(c.Table) == 0 && !c.All {
		return errors.New("say which tables: --table or --all")
	}
	_, err := replay.Choose(c.Table...)
	return err
}

// Run rebuilds, and prints what changed.
func (c replayTables) Run(stdout io.Writer, k *kong.Kong, log *slog.Logger) error {
	machines, err := replay.Choose(c.Table...)
	if err != nil {
		return err
	}
	if err := c.confirm(stdout, machines); err != nil {
		return err
	}
	if err := c.refuseRunning(); err != nil {
		return err
	}
	release, err := c.hold()
	if err != nil {
		return err
	}
	defer frugal()()
	access := broker.Writing
	if c.DryRun {
		access = broker.Reading
	}
	return errors.Join(c.run(log, access, func(ctx context.Context, conn broker.Broker) error {
		return c.rebuild(ctx, conn, machines, stdout, k.Stderr, log)
	}), release())
}

// refuseRunning says where a Stockflow runs whose tables are to be written.
func (c replayTables) refuseRunning() error {
	if len(c.Brokers) > 0 || c.DryRun {
		return nil
	}
	running, err := broker.Running(c.Data)
	if err == nil && running {
		err = fmt.Errorf("nothing was changed: a Stockflow runs on %s: stop it first, or look with --dry-run", c.Data)
	}
	return err
}

// hold takes the data directory, whose stores are thrown away in the end, before anything is written: while somebody has it open
// they can't be. Whoever opens a journal to write has it anyway.
func (c replayTables) hold() (release func() error, err error) {
	if _, err := os.Stat(c.Data); len(c.Brokers) == 0 || c.DryRun || errors.Is(err, os.ErrNotExist) {
		return func() error { return nil }, nil
	}
	release, err = broker.Hold(c.Data)
	if err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", err)
	}
	return release, nil
}

func (c replayTables) rebuild(ctx context.Context, conn broker.Broker, machines []replay.Machine, stdout, stderr io.Writer, log *slog.Logger) error {
	if err := c.prepare(ctx, conn, log); err != nil {
		return err
	}
	r := replay.Rebuilding{Conn: conn, Machines: machines, Dir: c.Work, DryRun: c.DryRun, Progress: &replay.Progress{}, Each: c.each(stdout)}
	stop := watch(r.Progress.Done, stderr, "folding")
	result, err := r.Rebuild(ctx)
	stop()
	if err != nil {
		return err
	}
	if !c.DryRun {
		if err := c.finish(ctx, conn, machines); err != nil {
			return err
		}
	}
	return c.tell(stdout, result)
}

// confirm asks whether to go on, on a terminal.
func (c replayTables) confirm(stdout io.Writer, machines []replay.Machine) error {
	if c.Yes || c.DryRun {
		return nil
	}
	in := cmp.Or(c.terminal, os.Stdin)
	if !isTerminal(in) {
		return errors.New("nothing was changed: without a terminal to ask on, it needs --yes, or --dry-run")
	}
	var names []string
	for _, m := range machines {
		names = append(names, m.Table)
	}
	return asked(in, stdout, "rebuild "+strings.Join(names, ", "), "nothing was changed")
}

// prepare makes the topics of tables that are gone, and insists that the logs are those that were there before, and the dead
// letters too: they alone tell which messages were refused for an origin that lay beyond its log.
func (c replayTables) prepare(ctx context.Context, conn broker.Broker, log *slog.Logger) error {
	partitions, err := partitionsOf(ctx, conn)
	if err != nil {
		return err
	}
	if !c.DryRun {
		if _, _, err := conn.Ensure(ctx, topics(), partitions); err != nil {
			return err
		}
	}
	warnings, err := broker.CheckIdentity(ctx, conn, files.OS(), c.remembered(), topicsOf(broker.Log, broker.Letters))
	for _, w := range warnings {
		log.Warn(w)
	}
	return err
}

func (c replayTables) remembered() string { return filepath.Join(c.Data, topicsFile) }

// finish makes the topics of the tables that were rebuilt the ones that are remembered, and no others: of a table that was lost too
// and not rebuilt, serve has to say so. It throws away the stores on disk, which may be of others: they are read again from the
// changelogs.
func (c replayTables) finish(ctx context.Context, conn broker.Broker, machines []replay.Machine) error {
	if _, err := os.Stat(c.Data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, m := range machines {
		for _, stores := range []string{"processors", "views"} {
			if err := os.RemoveAll(filepath.Join(c.Data, stores, m.Table)); err != nil {
				return err
			}
		}
	}
	return broker.Remember(ctx, conn, files.OS(), c.remembered(), tablesOf(machines))
}

// tablesOf are the topics of the tables of machines.
func tablesOf(machines []replay.Machine) []broker.Topic {
	var some []broker.Topic
	for _, m := range machines {
		some = append(some, broker.Topic{Name: m.Table, Kind: broker.Table})
	}
	return some
}

// topicsOf are the topics of some kinds.
func topicsOf(kinds ...broker.Kind) []broker.Topic {
	var some []broker.Topic
	for _, t := range topics() {
		if slices.Contains(kinds, t.Kind) {
			some = append(some, t)
		}
	}
	return some
}

// each prints the rows that change.
func (c replayTables) each(stdout io.Writer) func(replay.Change) error {
	return func(change replay.Change) error {
		old, now := change.Rows()
		if !c.JSON {
			_, err := fmt.Fprintf(stdout, "%s/%d %q\n  was  %s\n  is   %s\n", change.Table, change.Partition, change.Key, old, now)
			return err
		}
		return json.NewEncoder(stdout).Encode(struct {
			Table     string          `json:"table"`
			Partition int32           `json:"partition"`
			Key       string          `json:"key"`
			Old       json.RawMessage `json:"old"`
			New       json.RawMessage `json:"new"`
		}{change.Table, change.Partition, change.Key, orNull(change.Old, old), orNull(change.New, now)})
	}
}

func orNull(row []byte, text string) json.RawMessage {
	if row == nil {
		return nil
	}
	return json.RawMessage(text)
}

// tell prints a summary.
func (c replayTables) tell(stdout io.Writer, r *replay.Rebuilt) error {
	if c.JSON {
		return json.NewEncoder(stdout).Encode(r)
	}
	var text strings.Builder
	for _, t := range r.Tables {
		fmt.Fprintf(&text, "%-18s %8d rows, %d written, %d taken away\n", t.Table, t.Rows, t.Written, t.Removed)
		for p, cut := range t.Cuts {
			if cut.Found {
				fmt.Fprintf(&text, "  %d: no offset was committed; processing goes on at %d\n", p, cut.Offset)
			}
			if cut.Unlettered > 0 {
				fmt.Fprintf(&text, "  %d: messages that can't be taken have no dead letter, %d of them, the first at offset %d; replay doesn't make any, "+
					"and verify goes on to name them\n", p, cut.Unlettered, cut.FirstUnlettered)
			}
		}
	}
	if r.DryRun {
		text.WriteString("nothing was changed, as this was a dry run\n")
	}
	_, err := io.WriteString(stdout, text.String())
	return err
}
