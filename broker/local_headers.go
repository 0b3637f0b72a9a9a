package broker

import (
	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"stockflow/journal"
)

// headersRoom is more bytes than the headers of an event take. Others may take more.
const headersRoom = 512

// storedHeaders returns headers as the journal has them, in the memory of buf if they fit.
func storedHeaders(buf []byte, headers []kgo.RecordHeader) journal.Headers {
	stored := journal.HeadersIn(buf)
	for i := range headers {
		stored = stored.With(headers[i].Key, headers[i].Value)
	}
	return stored
}

// saramaHeaders returns headers as sarama has them. They share the memory of those.
func saramaHeaders(stored journal.Headers) []*sarama.RecordHeader {
	n := stored.Len()
	if n == 0 {
		return nil
	}
	headers, all := make([]sarama.RecordHeader, 0, n), make([]*sarama.RecordHeader, n)
	for name, value := range stored.All() {
		headers = append(headers, sarama.RecordHeader{Key: name, Value: value})
	}
	for i := range all {
		all[i] = &headers[i]
	}
	return all
}

// headerNames makes the names of headers strings, each of them once.
type headerNames struct{ known map[string]string }

const maxHeaderNames = 256

// appendHeaders appends headers as franz-go has them. Their values share the memory of those.
func (n *headerNames) appendHeaders(all []kgo.RecordHeader, stored journal.Headers) []kgo.RecordHeader {
	for name, value := range stored.All() {
		all = append(all, kgo.RecordHeader{Key: n.name(name), Value: value})
	}
	return all
}

func (n *headerNames) name(b []byte) string {
	if s, ok := n.known[string(b)]; ok {
		return s
	}
	s := string(b)
	if n.known == nil {
		n.known = make(map[string]string)
	}
	if len(n.known) < maxHeaderNames {
		n.known[s] = s
	}
	return s
}
