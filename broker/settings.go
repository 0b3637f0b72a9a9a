package broker

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
)

// setting is a setting of a topic as it should be.
type setting struct {
	name, value string
	harm        string // what goes wrong if it is anything else; "" if the topic is only different then
	// harmless tells of a topic's settings that harm is out of the question with them; nil if it never is.
	harmless func(have map[string]string) bool
}

// keepsAll tells that nothing is deleted by age or size, whatever cleanup.policy says.
func keepsAll(have map[string]string) bool {
	return have["retention.ms"] == "-1" && have["retention.bytes"] == "-1"
}

// settingsOf returns what a topic of a kind needs.
func settingsOf(k Kind, brokers int) []setting {
	settings := sizeOf(k)
	if replicas(brokers) == 3 {
		settings = append(settings, setting{name: "min.insync.replicas", value: "2"})
	}
	if k == Table {
		return append(settings,
			setting{"cleanup.policy", "compact", "rows would be deleted when they are old", keepsAll},
			// A row that an owner repairs must not be compacted away by then; see the design's effects exactly once.
			setting{name: "min.compaction.lag.ms", value: "86400000"})
	}
	expire := "what is old would be deleted"
	if k == Letters {
		expire = "" // dead letters may be given an end
	}
	return append(settings,
		setting{name: "cleanup.policy", value: "delete", harm: "only the last message of each key would be kept"},
		setting{name: "retention.ms", value: "-1", harm: expire},
		setting{name: "retention.bytes", value: "-1", harm: expire},
		setting{name: "message.timestamp.type", value: "LogAppendTime"})
}

func sizeOf(k Kind) []setting {
	size := LargestMessage
	if k == Letters {
		size = LargestDeadLetter
	}
	// A batch is a little larger than the record in it.
	return []setting{{name: "max.message.bytes", value: strconv.Itoa(size + batchOverhead)}}
}

// batchOverhead is what a batch adds to the one record in it, and more.
const batchOverhead = 1 << 10

func values(r kadm.ResourceConfig) map[string]string {
	all := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		all[c.Key] = c.MaybeValue()
	}
	return all
}
