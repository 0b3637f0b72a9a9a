package kafkaport

import (
	"os/exec"
	"testing"
)

// Foreigners are the clients of others, for tests of the whole program.
func Foreigners() []Foreign {
	var all []Foreign
	for _, f := range foreigners {
		all = append(all, Foreign{f.name, f.codecs[len(f.codecs)-1], f})
	}
	return all
}

// Foreign is a client of others, with a codec that it knows.
type Foreign struct {
	Name, Codec string
	client      foreign
}

// Producer returns what sends each line of its input to a topic, and ends when all are acknowledged.
func (f Foreign) Producer(t *testing.T, address, topic string) *exec.Cmd {
	return f.client.command(t, f.client.produce(address, topic, f.Codec))
}
