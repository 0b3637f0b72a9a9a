package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"time"

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
	At     string `help:"As it was: a time such as 2026-01-05T09:30:00Z, or an offset of the key's partition, after whose message it is." placeholder:"TIME|OFFSET"`
	JSON   bool   `help:"As one JSON object." name:"json"`
}

// Run folds the row again from its log.
func (c show) Run(stdout io.Writer, log *slog.Logger) error {
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
	dir := c.historyDir() // before this process opens the directory itself
	return c.run(log, broker.Reading, func(ctx context.Context, conn broker.Connection) error {
		row, err := c.recall(ctx, conn, m, dir, log)
		if err != nil {
			return err
		}
		defer row.Close() //nolint:errcheck // nothing is lost with it
		found, err := at.of(row)
		if err != nil {
			return c.inWords(err)
		}
		if found.Row == nil {
			return c.inWords(&history.Unborn{})
		}
		return c.print(stdout, m, found)
	})
}

// recall reads what the log has of the key. A directory that nobody runs on has its history; of others, the partition of
// the key is read from its beginning.
func (c show) recall(ctx context.Context, conn broker.Connection, m replay.Machine, dir string, log *slog.Logger) (*history.Single, error) {
	n, err := partitionsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	told := time.Now()
	return history.Recall(ctx, conn, history.Question{
		Machine: m, Key: c.Key, Partitions: n, Dir: dir, Log: log.Warn,
		Progress: func(name string, read, end int64) {
			if time.Since(told) > progressAfter {
				told = time.Now()
				log.Info("reading a partition from its beginning", "log", name, "read", read, "of", end)
			}
		},
	})
}

// progressAfter is how long a command is silent while it reads.
const progressAfter = 2 * time.Second

// historyDir is where the history is, "" if a process runs on it or it is elsewhere.
func (c show) historyDir() string {
	if _, running, err := broker.Find(c.Data); len(c.Brokers) > 0 || running || err != nil {
		return ""
	}
	return filepath.Join(c.Data, "history")
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

// shownRow is a row for programs.
type shownRow struct {
	Table     string          `json:"table"`
	Key       string          `json:"key"`
	Log       string          `json:"log"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"` // of the last message of the key up to then
	At        string          `json:"at"`
	Row       json.RawMessage `json:"row"`
}

func (c show) print(stdout io.Writer, m replay.Machine, found history.Moment) error {
	text, err := m.Show(found.Row)
	if err != nil {
		return err
	}
	if c.JSON {
		lines := json.NewEncoder(stdout)
		lines.SetIndent("", "  ")
		return lines.Encode(shownRow{m.Table, c.Key, found.Log, found.Partition, found.Offset, logTime(found.At), text})
	}
	fmt.Fprintf(stdout, "%-9s %s\n%-9s %s\n%-9s %s/%d/%d, %s\n%s\n", "table", m.Table, "key", printable(c.Key),
		"after", found.Log, found.Partition, found.Offset, logTime(found.At), text)
	return nil
}
