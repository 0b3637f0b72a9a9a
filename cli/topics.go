package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"stockflow/broker"
)

// inspectTopics shows what topics there are and what there should be.
type inspectTopics struct {
	logsAt
	Partitions int32 `help:"Partitions that topics get when they are made, as serve is told; those that exist decide for the others." default:"8"`
	JSON       bool  `help:"Print the result as one JSON object." name:"json"`
}

// Help is what --help says besides.
func (inspectTopics) Help() string {
	return `Nothing is changed. Topics that are missing are made by the next serve. What is refused would lose or mix up what is written to the
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

// Run looks at the topics, and prints them.
func (c inspectTopics) Run(stdout io.Writer, log *slog.Logger) error {
	var states []broker.State
	err := c.run(log, broker.Looking, func(ctx context.Context, conn broker.Connection) (err error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		states, err = broker.Inspect(ctx, conn, topics(), c.Partitions)
		return err
	})
	if err == nil {
		err = c.print(stdout, states)
	}
	if err != nil {
		return withCode{exitUncheckable, err}
	}
	if refused := count(states, broker.Refused); refused > 0 {
		return withCode{exitDiffers, fmt.Errorf("%d settings are such that serve refuses to start", refused)}
	}
	return nil
}

func count(states []broker.State, v broker.Verdict) (n int) {
	for _, s := range states {
		for _, t := range s.Traits {
			if t.Verdict == v {
				n++
			}
		}
	}
	return n
}

func (c inspectTopics) print(stdout io.Writer, states []broker.State) error {
	if !c.JSON {
		return writeTopics(stdout, states)
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
		Topics   []shownTopic `json:"topics"`
		Refused  int          `json:"refused"`
		Warnings int          `json:"warnings"`
	}{shown, count(states, broker.Refused), count(states, broker.Warning)})
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
