package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"stockflow/api"
	"stockflow/broker"
	"stockflow/codecs"
	"stockflow/replay"
	"stockflow/replay/history"
)

// show prints a row of a table, now or as it was.
type show struct {
	logsAt `embed:""`
	Table  string `arg:"" help:"order, inventory, shipment or notification."`
	Key    string `arg:"" help:"An order's id, or a SKU."`
	URL    string `help:"The running Stockflow to ask over HTTP. If left out, that of --data; with --brokers, none: the key's partition is read." name:"url"`
	At     string `help:"As it was: a time such as 2026-01-05T09:30:00Z, or an offset of the key's partition, after whose message it is." placeholder:"TIME|OFFSET"`
	JSON   bool   `help:"As one JSON object." name:"json"`
}

// Run folds the row again from its log.
func (c show) Run(stdout io.Writer, k *kong.Kong, log *slog.Logger) error {
	machines, err := replay.Choose(c.Table)
	if err != nil {
		return err
	}
	m := machines[0]
	if err := codecs.CheckID("KEY", c.Key); err != nil {
		return err
	}
	at, err := parsePoint(c.At, time.Now())
	if err != nil {
		return err
	}
	server, err := c.asks()
	if err != nil {
		return err
	}
	row, found, err := at.ask(context.Background(), server, m, c.Key)
	switch {
	case err != nil && c.URL != "":
		return fmt.Errorf("--url: %w", err)
	case found:
		return c.print(stdout, row)
	}
	return c.run(log, broker.Reading, func(ctx context.Context, conn broker.Broker) (err error) {
		dir, release := c.holdHistory()
		defer func() { err = errors.Join(err, release()) }()
		past, err := c.recall(ctx, conn, m, dir, k.Stderr, log)
		if err != nil {
			return err
		}
		defer past.Close() //nolint:errcheck // nothing is lost with it
		found, err := at.of(past)
		if err != nil {
			return c.inWords(err)
		}
		if found.Row == nil {
			return c.inWords(&history.Unborn{})
		}
		row, err := api.Folded(m, c.Key, found)
		if err != nil {
			return err
		}
		return c.print(stdout, row)
	})
}

// asks is where a running Stockflow can be asked, "" if there is none.
func (c show) asks() (string, error) {
	if c.URL != "" || len(c.Brokers) > 0 {
		return strings.TrimSuffix(c.URL, "/"), nil
	}
	return servedAt(c.Data)
}

// ask asks a running Stockflow, whose history has the row without reading the log. It may have none, or not be ready, or
// have no such row: whoever reads the log then finds out what it is, and says so.
func (p point) ask(ctx context.Context, at string, m replay.Machine, key string) (row api.FoldedRow, found bool, err error) {
	if at == "" {
		return row, false, nil
	}
	when := ""
	switch {
	case p.offset >= 0:
		when = fmt.Sprintf("?offset=%d", p.offset)
	case p.at != math.MaxInt64:
		when = fmt.Sprintf("?at=%d", p.at)
	}
	status, body, err := serving{url: at}.ask(ctx, "/v1/rows/"+m.Name+"/"+url.PathEscape(key)+when)
	if err != nil || status != http.StatusOK {
		return row, false, err
	}
	err = json.Unmarshal(body, &row)
	return row, err == nil, err
}

// recall reads what the log has of the key. A directory that nobody runs on has its history; of others, the partition of
// the key is read from its beginning, which is shown on stderr if it takes its time.
func (c show) recall(ctx context.Context, conn broker.Broker, m replay.Machine, dir string, stderr io.Writer, log *slog.Logger) (*history.Single, error) {
	n, err := partitionsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	var read, end atomic.Int64
	defer watch(func() (done, all int64) { return read.Load(), end.Load() }, stderr, "reading "+m.Log)()
	return history.Recall(ctx, conn, history.Question{
		Machine: m, Key: c.Key, Partitions: n, Dir: dir, Log: log.Warn,
		Progress: func(done, all int64) { read.Store(done); end.Store(all) },
	})
}

// holdHistory takes the data directory, whose history is written while it is read, and returns where that is: "" if somebody else
// has the directory, or the logs are elsewhere. It is had until release is called.
func (c show) holdHistory() (dir string, release func() error) {
	nothing := func() error { return nil }
	if len(c.Brokers) > 0 {
		return "", nothing
	}
	release, err := broker.Hold(c.Data)
	if err != nil {
		return "", nothing
	}
	return filepath.Join(c.Data, "history"), release
}

// point is what a row is asked for: now, a time, or an offset.
type point struct {
	at     int64
	offset int64 // -1 for a time
}

func parsePoint(text string, now time.Time) (point, error) {
	if text == "" {
		return point{at: math.MaxInt64, offset: -1}, nil
	}
	if offset, err := strconv.ParseInt(text, 10, 64); err == nil && offset >= 0 {
		return point{offset: offset}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return point{}, fmt.Errorf("--at: %s is neither a time as 2026-01-05T09:30:00Z nor an offset", printable(text))
	case at.After(now):
		return point{}, fmt.Errorf("--at: %s is in the future", text)
	}
	return point{at: at.UnixMilli(), offset: -1}, nil
}

func (p point) of(row *history.Single) (history.Moment, error) {
	if p.offset >= 0 {
		return row.AtOffset(p.offset)
	}
	return row.At(p.at)
}

// inWords says what was asked for and isn't there.
func (c show) inWords(err error) error {
	unborn, early := new(history.Unborn), new(history.BeforeLog)
	switch {
	case errors.As(err, &unborn) && c.At == "":
		return fmt.Errorf("there is no row of %s in %s", printable(c.Key), c.Table)
	case errors.As(err, &unborn) && unborn.Since > 0:
		return fmt.Errorf("there was no row of %s in %s by then; the first message came at %s", printable(c.Key), c.Table, logTime(unborn.Since))
	case errors.As(err, &unborn):
		return fmt.Errorf("there was no row of %s in %s by then", printable(c.Key), c.Table)
	case errors.As(err, &early):
		return fmt.Errorf("--at: %w: its first message came at %s", err, logTime(early.First))
	case c.At != "":
		return fmt.Errorf("--at: %w", err)
	}
	return err
}

func logTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func (c show) print(stdout io.Writer, row api.FoldedRow) error {
	if c.JSON {
		lines := json.NewEncoder(stdout)
		lines.SetIndent("", "  ")
		return lines.Encode(row)
	}
	text := new(bytes.Buffer)
	if err := json.Indent(text, row.Row, "", "  "); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%-9s %s\n%-9s %s\n%-9s %s/%d/%d, %s\n%s\n", "table", row.Table, "key", printable(c.Key),
		"after", row.Log, row.Partition, row.Offset, row.At, text)
	return nil
}
