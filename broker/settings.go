package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// setting is a setting of a topic as it should be.
type setting struct {
	name, value string
	why         string // what goes wrong if it is anything else; "" if the topic is only different then
}

// settingsOf returns what a topic of a kind needs. Tables on the embedded broker are kept as logs are: its compaction
// can lose a table in a crash.
func settingsOf(k Kind, embedded bool, brokers int) []setting {
	settings := sizeOf(k)
	if replicas(brokers) == 3 {
		settings = append(settings, setting{name: "min.insync.replicas", value: "2"})
	}
	if k == Table && !embedded {
		return append(settings,
			setting{"cleanup.policy", "compact", "rows would be deleted when they are old"},
			// A row that an owner repairs must not be compacted away by then; see the design's effects exactly once.
			setting{name: "min.compaction.lag.ms", value: "86400000"})
	}
	expire := "what is old would be deleted"
	if k == Letters {
		expire = "" // dead letters may be given an end
	}
	return append(settings,
		setting{"cleanup.policy", "delete", "only the last message of each key would be kept"},
		setting{"retention.ms", "-1", expire},
		setting{"retention.bytes", "-1", expire},
		setting{name: "message.timestamp.type", value: "LogAppendTime"})
}

func sizeOf(k Kind) []setting {
	size := LargestMessage
	if k == Letters {
		size = LargestLetter
	}
	// A batch is a little larger than the record in it.
	return []setting{{name: "max.message.bytes", value: strconv.Itoa(size + batchOverhead)}}
}

// batchOverhead is what a batch adds to the one record in it, and more.
const batchOverhead = 1 << 10

// check compares the topics that exist with what they should be.
func (e ensuring) check(ctx context.Context, brokers int) (warnings []string, err error) {
	described, err := e.admin.DescribeTopicConfigs(ctx, names(e.topics)...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of the topics: %w", err)
	}
	var wrong []error
	for _, t := range e.topics {
		have, err := described.On(t.Name, nil)
		if err != nil || have.Err != nil {
			return nil, fmt.Errorf("read the settings of topic %s: %w", t.Name, errors.Join(err, have.Err))
		}
		w, err := compare(t, settingsOf(t.Kind, e.conn.Embedded, brokers), values(have))
		warnings = append(warnings, w...)
		wrong = append(wrong, err)
	}
	return warnings, errors.Join(wrong...)
}

func values(r kadm.ResourceConfig) map[string]string {
	all := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		all[c.Key] = c.MaybeValue()
	}
	return all
}

// compare returns as errors the differences that would cost what is in the topic, the others as warnings.
func compare(t Topic, want []setting, have map[string]string) (warnings []string, err error) {
	var wrong []error
	for _, s := range want {
		got := have[s.name]
		switch {
		case got == s.value:
		case s.why == "":
			warnings = append(warnings, fmt.Sprintf("topic %s (%s) has %s=%s, not %s", t.Name, t.Kind, s.name, got, s.value))
		default:
			wrong = append(wrong, fmt.Errorf("topic %s (%s) has %s=%s: %s; set it to %s", t.Name, t.Kind, s.name, got, s.why, s.value))
		}
	}
	return warnings, errors.Join(wrong...)
}
