package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"stockflow/broker"
	"stockflow/journal"
	"stockflow/journal/files"
)

// inspectTopics shows what topics there are and what there should be.
type inspectTopics struct {
	logsAt
	Partitions int32 `help:"Partitions that topics get when they are made, as serve is told; those that exist decide for the others." default:"8"`
	JSON       bool  `help:"Print the result as one JSON object." name:"json"`
}

// Help is what --help says besides.
func (inspectTopics) Help() string {
	return `Nothing is changed. Without brokers, the files of the journal are shown too. Topics that are missing are made by the next serve. What is refused would lose or mix up what is written to the
topic, and serve does not start on it; a warning is what serve would have made otherwise.

The exit code is 0 if serve starts on these topics, 1 if it refuses, 2 if they could not be looked at.`
}

// Validate returns what is wrong with the flags.
func (c inspectTopics) Validate() error {
	if c.Partitions < 1 {
		return fmt.Errorf("--partitions: must be at least 1, is %d", c.Partitions)
	}
	return nil
}

// shownTopic is a topic for programs.
type shownTopic struct {
	Topic    string       `json:"topic"`
	Kind     string       `json:"kind"`
	Exists   bool         `json:"exists"`
	Settings []shownTrait `json:"settings"`
}

type shownTrait struct {
	Name    string `json:"name"`
	Is      string `json:"is,omitempty"`
	Should  string `json:"should_be"`
	Verdict string `json:"verdict"`
	Why     string `json:"why,omitempty"`
}

// shownJournal is a journal's files, for programs and for people.
type shownJournal struct {
	ID       string           `json:"id"`
	Epoch    uint64           `json:"epoch"`
	Position journal.Position `json:"position"` // up to which it is read

	UnsealedFiles int   `json:"unsealed_files"`
	UnsealedBytes int64 `json:"unsealed_bytes"`
	SealedFiles   int   `json:"sealed_files"`
	SealedBytes   int64 `json:"sealed_bytes"`

	LastBackup *time.Time `json:"last_backup,omitempty"` // nil if none is known

	dir string
}

// inspected is what there is.
type inspected struct {
	topics  []broker.State
	journal *shownJournal // nil with brokers
}

// Run looks at the topics, and prints them.
func (c inspectTopics) Run(stdout io.Writer, log *slog.Logger) error {
	var found inspected
	err := c.run(log, broker.Looking, func(ctx context.Context, b broker.Broker) (err error) {
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if local, is := b.(broker.Local); is {
			found.journal = inspectJournal(c.Data, local.Journal())
		}
		found.topics, err = b.Inspect(ctx, topics(), c.Partitions)
		return err
	})
	if err == nil {
		err = c.print(stdout, found)
	}
	if err != nil {
		return withCode{exitUncheckable, err}
	}
	if refused := count(found.topics, broker.Refused); refused > 0 {
		return withCode{exitDiffers, fmt.Errorf("%d settings are such that serve refuses to start", refused)}
	}
	return nil
}

func count(states []broker.State, v broker.Comparison) (n int) {
	for _, s := range states {
		for _, t := range s.Traits {
			if t.Verdict == v {
				n++
			}
		}
	}
	return n
}

func inspectJournal(data string, j *journal.Journal) *shownJournal {
	s := j.Stats()
	shown := &shownJournal{
		ID: j.ID(), Epoch: j.Epoch(), Position: s.Durable, dir: journalIn(data),
		UnsealedFiles: s.TailFiles, UnsealedBytes: s.TailBytes, SealedFiles: s.SealedFiles, SealedBytes: s.SealedBytes,
	}
	if n, known, err := lastBackup(files.OS(), data); known && err == nil {
		shown.LastBackup = &n.At
	}
	return shown
}

func (c inspectTopics) print(stdout io.Writer, found inspected) error {
	states := found.topics
	if !c.JSON {
		return errors.Join(writeTopics(stdout, states), found.journal.write(stdout))
	}
	shown := make([]shownTopic, len(states))
	for i, s := range states {
		shown[i] = shownTopic{Topic: s.Topic.Name, Kind: s.Topic.Kind.String(), Exists: s.Exists}
		for _, t := range s.Traits {
			shown[i].Settings = append(shown[i].Settings, shownTrait{t.Name, t.Is, t.Should, t.Verdict.String(), t.Why})
		}
	}
	lines := json.NewEncoder(stdout)
	lines.SetIndent("", "  ")
	return lines.Encode(struct {
		Topics   []shownTopic  `json:"topics"`
		Refused  int           `json:"refused"`
		Warnings int           `json:"warnings"`
		Journal  *shownJournal `json:"journal,omitempty"`
	}{shown, count(states, broker.Refused), count(states, broker.Warning), found.journal})
}

// write writes a line for people.
func (j *shownJournal) write(stdout io.Writer) error {
	if j == nil {
		return nil
	}
	backup := "no backup of it is known"
	if j.LastBackup != nil {
		backup = fmt.Sprintf("the last backup is of %s", j.LastBackup.Format(time.RFC3339))
	}
	_, err := fmt.Fprintf(stdout, "journal %s, epoch %d, up to position %d: %d files of %d bytes that are not sealed yet, %d sealed ones of %d bytes; %s\n",
		j.dir, j.Epoch, j.Position, j.UnsealedFiles, j.UnsealedBytes, j.SealedFiles, j.SealedBytes, backup)
	return err
}

// writeTopics writes a table for people.
func writeTopics(stdout io.Writer, states []broker.State) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TOPIC\tKIND\tSETTING\tIS\tSHOULD BE\t")
	missing := 0
	for _, s := range states {
		if !s.Exists {
			missing++
		}
		for _, t := range s.Traits {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Topic.Name, s.Topic.Kind, t.Name, orDash(t.Is), t.Should, remark(s, t))
		}
	}
	err := table.Flush()
	refused, warnings := count(states, broker.Refused), count(states, broker.Warning)
	_, told := fmt.Fprintf(stdout, "%d topics, %d of them missing; %d settings refused, %d warnings\n", len(states), missing, refused, warnings)
	return errors.Join(err, told)
}

func remark(s broker.State, t broker.Trait) string {
	switch {
	case !s.Exists:
		return "made by the next serve"
	case t.Verdict == broker.Refused:
		return "REFUSED: " + t.Why
	case t.Verdict == broker.Warning:
		return "warning"
	}
	return ""
}
