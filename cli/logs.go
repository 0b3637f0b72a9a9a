package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"stockflow/broker"
	"stockflow/engine"
	"stockflow/journal"
	"stockflow/journal/files"
)

// logsAt is where a command finds the logs that it is about.
type logsAt struct {
	Data     string        `help:"Data directory of a Stockflow. If it runs, what it has on the disk is read beside it." default:"./data"`
	Brokers  []string      `help:"Kafka brokers to ask instead, HOST:PORT,..." placeholder:"HOST:PORT"`
	Security securityFlags `embed:"" prefix:"brokers-"`
}

// journalIn is where the journal of a data directory lies.
func journalIn(data string) string { return filepath.Join(data, "journal") }

// run calls do with a way to reach the logs, which ends when do does; access is what do needs of them. Who writes has the
// data directory to itself. A signal ends do's context.
func (l logsAt) run(log *slog.Logger, access broker.Access, do func(context.Context, broker.Broker) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(l.Brokers) > 0 {
		conn, err := cluster{l.Brokers, l.Security}.connect(ctx)
		if err != nil {
			return err
		}
		if err := broker.CheckAccess(ctx, conn, access, topics()); err != nil {
			return err
		}
		if access == broker.Writing {
			if _, _, err := checkMove(ctx, conn); err != nil {
				return err
			}
		}
		return do(ctx, conn)
	}
	if _, err := (cluster{security: l.Security}).connection(); err != nil {
		return err
	}
	j, closeJournal, err := l.open(ctx, log, access)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	return do(ctx, broker.NewLocal(j))
}

// open opens the journal. A directory in which there was never a Stockflow is not made one.
func (l logsAt) open(ctx context.Context, log *slog.Logger, access broker.Access) (*journal.Journal, func() error, error) {
	if err := hasJournal(l.Data); err != nil {
		return nil, nil, fmt.Errorf("--data: %w", err)
	}
	options := journal.Options{Log: log}
	if access == broker.Writing {
		if err := refuseMoved(files.OS(), l.Data); err != nil {
			return nil, nil, err
		}
		release, err := broker.Hold(l.Data)
		if err != nil {
			return nil, nil, err
		}
		j, err := journal.Open(journalIn(l.Data), options)
		if err != nil {
			return nil, nil, errors.Join(err, release())
		}
		return j, func() error { return errors.Join(j.Close(), release()) }, nil
	}
	upTo, err := durableIn(ctx, l.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("--data: %w", err)
	}
	j, err := journal.OpenReading(journalIn(l.Data), upTo, options)
	if err != nil {
		return nil, nil, err
	}
	return j, j.Close, nil
}

// hasJournal says what is wrong with a data directory that has no journal.
func hasJournal(data string) error {
	if err := refuseOld(data); err != nil {
		return err
	}
	if _, err := os.Stat(journalIn(data)); err != nil {
		return fmt.Errorf("there is no Stockflow's log in %s: %w; if it uses brokers, name them with --brokers", data, err)
	}
	return nil
}

// refuseOld refuses a directory whose logs a broker within the process has written, as Stockflow had one before the journal.
func refuseOld(data string) error {
	if _, err := os.Stat(filepath.Join(data, "broker")); err == nil {
		return fmt.Errorf("%s holds the log of an embedded broker, which this program does not read: name a new directory", data)
	}
	return nil
}

// untilEnd is the position up to which a journal is read that nobody writes.
const untilEnd journal.Position = -1

// durableIn returns up to where the journal in a data directory may be read: what the Stockflow that runs on it says is on
// the disk, or all of it.
func durableIn(ctx context.Context, data string) (journal.Position, error) {
	running, err := broker.Running(data)
	if err != nil || !running {
		return untilEnd, err
	}
	url, err := servedAt(data)
	if err != nil {
		return 0, err
	}
	if url == "" {
		return 0, fmt.Errorf("%s is being opened or closed: try again in a moment", data)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return serving{url: url}.durable(ctx)
}

// durable asks for the durable position.
func (s serving) durable(ctx context.Context) (journal.Position, error) {
	status, body, err := s.insist(ctx, "/v1/system")
	if err != nil {
		return 0, err
	}
	var system struct {
		Journal struct {
			Durable *journal.Position `json:"durable"`
		} `json:"journal"`
	}
	if err := json.Unmarshal(body, &system); err != nil || status != http.StatusOK || system.Journal.Durable == nil {
		return 0, fmt.Errorf("%s/v1/system is answered with %d %.200s", s.url, status, body)
	}
	return *system.Journal.Durable, nil
}

// partitionsOf returns how many partitions the logs have.
func partitionsOf(ctx context.Context, b broker.Broker) (int32, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := b.Topics(ctx, engine.DeadLetters)
	if err != nil {
		return 0, err
	}
	if found[engine.DeadLetters].Partitions == 0 {
		return 0, fmt.Errorf("topic %s doesn't exist", engine.DeadLetters)
	}
	return found[engine.DeadLetters].Partitions, nil
}
