package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// State is a topic as it is, beside what it should be.
type State struct {
	Topic  Topic
	Exists bool
	Traits []Trait // all that matters of it: partitions and replication, then its settings
}

// Trait is one thing that a topic has, or will have if it doesn't exist yet.
type Trait struct {
	Name    string
	Is      string // "" if the topic doesn't exist
	Should  string
	Verdict Comparison
	Why     string // what goes wrong, where the verdict is Refused
}

// Comparison is what a difference between what is and what should be comes to.
type Comparison int

// The verdicts.
const (
	Fine    Comparison = iota
	Warning            // not what Ensure would make, and nothing is lost by it
	Refused            // what is in the topic, or meets there, would be lost or mixed up: Ensure returns an error
)

// String returns the verdict as it stands in messages.
func (v Comparison) String() string {
	switch v {
	case Fine:
		return "fine"
	case Warning:
		return "warning"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("verdict %d", int(v))
}

// Inspect implements Broker.
func (c Connection) Inspect(ctx context.Context, topics []Topic, partitions int32) ([]State, error) {
	cl, err := c.Client()
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	e := ensuring{client: cl, admin: kadm.NewClient(cl), conn: c, topics: topics}
	brokers, err := e.brokers(ctx)
	if err != nil {
		return nil, err
	}
	found, _, err := e.find(ctx)
	if err != nil {
		return nil, err
	}
	return e.inspect(ctx, found, leading(topics, counts(found), partitions), brokers)
}

// layout is how many there should be.
type layout struct {
	partitions int32
	first      string // the topic that decides the partitions, "" if there is none
	brokers    int
}

// leading returns how many partitions all topics should have: as many as the first of them that exists.
func leading(topics []Topic, found map[string]int32, partitions int32) layout {
	for _, t := range topics {
		if n, exists := found[t.Name]; exists {
			return layout{partitions: n, first: t.Name}
		}
	}
	return layout{partitions: partitions}
}

func (e ensuring) inspect(ctx context.Context, found kadm.TopicDetails, want layout, brokers int) ([]State, error) {
	want.brokers = brokers
	have, err := e.settings(ctx, found)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(e.topics))
	for i, t := range e.topics {
		details, exists := found[t.Name]
		s := State{Topic: t, Exists: exists}
		if exists {
			s.Traits = append(sizes(details, want), judge(settingsOf(t.Kind, brokers), have[t.Name])...)
		} else {
			s.Traits = planned(settingsOf(t.Kind, brokers), want)
		}
		states[i] = s
	}
	return states, nil
}

// settings returns those of the topics that exist, by topic and name.
func (e ensuring) settings(ctx context.Context, found kadm.TopicDetails) (map[string]map[string]string, error) {
	all := make(map[string]map[string]string)
	if len(found) == 0 {
		return all, nil // to describe no topics would describe all
	}
	described, err := e.admin.DescribeTopicConfigs(ctx, found.Names()...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the topics: %w", err)
	}
	for _, name := range found.Names() {
		r, err := described.On(name, nil)
		if err := errors.Join(err, r.Err); err != nil {
			return nil, fmt.Errorf("read the settings of topic %s: %w", name, err)
		}
		all[name] = values(r)
	}
	return all, nil
}

// planned is what a topic will have that doesn't exist.
func planned(settings []setting, want layout) []Trait {
	traits := []Trait{
		{Name: "partitions", Should: strconv.Itoa(int(want.partitions))},
		{Name: "replication", Should: strconv.Itoa(int(replicas(want.brokers)))},
	}
	for _, s := range settings {
		traits = append(traits, Trait{Name: s.name, Should: s.value})
	}
	return traits
}

// sizes compares the numbers of a topic. More replicas than it would be made with are no fault, and fewer in one
// partition are too few.
func sizes(d kadm.TopicDetail, want layout) []Trait {
	kept := d.Partitions.NumReplicas()
	for _, p := range d.Partitions {
		kept = min(kept, len(p.Replicas))
	}
	partitions := Trait{Name: "partitions", Is: strconv.Itoa(len(d.Partitions)), Should: strconv.Itoa(int(want.partitions))}
	if partitions.Is != partitions.Should {
		partitions.Verdict = Refused
		partitions.Why = fmt.Sprintf("%s has %d: all topics must have the same number", want.first, want.partitions)
	}
	replication := Trait{Name: "replication", Is: strconv.Itoa(kept), Should: strconv.Itoa(int(replicas(want.brokers)))}
	if kept < int(replicas(want.brokers)) {
		replication.Verdict = Warning
	}
	return []Trait{partitions, replication}
}

// judge compares the settings of a topic with what it needs.
func judge(want []setting, have map[string]string) []Trait {
	traits := make([]Trait, len(want))
	for i, s := range want {
		traits[i] = Trait{Name: s.name, Is: have[s.name], Should: s.value}
		switch {
		case have[s.name] == s.value:
		case s.harm == "" || s.harmless != nil && s.harmless(have):
			traits[i].Verdict = Warning
		default:
			traits[i].Verdict, traits[i].Why = Refused, s.harm
		}
	}
	return traits
}

// summarize returns what is wrong with topics as errors, and as warnings what only differs.
func summarize(states []State) (warnings []string, err error) {
	var wrong []error
	for _, s := range states {
		for _, t := range s.Traits {
			switch t.Verdict {
			case Fine:
			case Warning:
				warnings = append(warnings, fmt.Sprintf("topic %s (%s) has %s=%s, not %s", s.Topic.Name, s.Topic.Kind, t.Name, t.Is, t.Should))
			case Refused:
				wrong = append(wrong, fmt.Errorf("topic %s (%s) has %s=%s: %s; set it to %s",
					s.Topic.Name, s.Topic.Kind, t.Name, t.Is, t.Why, t.Should))
			}
		}
	}
	return warnings, errors.Join(wrong...)
}
