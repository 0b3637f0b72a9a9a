package torture

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitions of every log and table here.
const partitions = 8

// The log is read from its files: nobody has to run for that, nobody can mend anything before it is looked at, and
// what was read once isn't read again.

// shelf is where the logs are: it opens a partition, to be read from its beginning.
type shelf func(topic string, partition int32) reader

// reader reads a partition: each time what it has not read before.
type reader interface {
	read(each func(*kgo.Record) error) error
}

// filesOf are the logs of an embedded broker, in its directory.
func filesOf(data string) shelf {
	return func(topic string, partition int32) reader { return newTail(data, topic, partition) }
}

// tail reads a partition's files from where it stopped the last time.
type tail struct {
	topic     string
	partition int32
	dir       string
	base, at  int64 // of the file that is read: its first offset, and how many bytes of it were read
	next      int64 // offset
}

func newTail(data, topic string, partition int32) *tail {
	return &tail{topic: topic, partition: partition, dir: filepath.Join(data, "broker", "partitions", fmt.Sprintf("%s-%d", topic, partition))}
}

// read calls each with the records that it has not read before.
func (t *tail) read(each func(*kgo.Record) error) error {
	for {
		if err := t.readFile(each); err != nil {
			return fmt.Errorf("%s/%d at offset %d: %w", t.topic, t.partition, t.next, err)
		}
		bases, err := t.files()
		if err != nil || t.next == t.base || !slices.Contains(bases, t.next) {
			return err
		}
		t.base, t.at = t.next, 0
	}
}

// files returns the first offsets of the files there are.
func (t *tail) files() (bases []int64, err error) {
	names, err := filepath.Glob(filepath.Join(t.dir, "*.dat"))
	for _, name := range names {
		base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".dat"), 10, 64)
		if err != nil {
			return nil, err
		}
		bases = append(bases, base)
	}
	return bases, err
}

// readFile takes the whole batches from the file that is read. What follows the last of them isn't written yet, or
// never was.
func (t *tail) readFile(each func(*kgo.Record) error) error {
	f, err := os.Open(filepath.Join(t.dir, fmt.Sprintf("%d.dat", t.base)))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(t.at, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	whole := wholeBatches(b)
	if len(whole) == 0 {
		return nil
	}
	answer := kmsg.NewFetchResponseTopicPartition()
	answer.Partition, answer.RecordBatches = t.partition, whole
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: t.next, Topic: t.topic, Partition: t.partition},
		&answer, kgo.DefaultDecompressor(), nil)
	if read.Err != nil {
		return read.Err
	}
	for _, r := range read.Records {
		if r.Offset != t.next {
			return fmt.Errorf("offset %d follows", r.Offset)
		}
		t.next++
		if err := each(r); err != nil {
			return err
		}
	}
	t.at += int64(len(whole))
	return nil
}

// wholeBatches returns the batches of b without what isn't whole at its end.
func wholeBatches(b []byte) []byte {
	end := 0
	for n := batchSize(b); n > 0; n = batchSize(b[end:]) {
		end += n
	}
	return b[:end]
}

// source is a partition of a log.
type source struct {
	log       string
	partition int32
}

// committed reads how far the groups have committed, from the broker's file about them: entries of a length, a checksum,
// a version and JSON, of which the last one of a partition counts.
func committed(data string) (map[source]int64, error) {
	b, err := os.ReadFile(filepath.Join(data, "broker", "groups.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	at := map[source]int64{}
	for len(b) >= 10 {
		size := 8 + int(binary.LittleEndian.Uint32(b))
		if size < 10 || size > len(b) {
			break
		}
		var entry struct {
			Type   string `json:"type"`
			Topic  string `json:"t"`
			Part   int32  `json:"p"`
			Offset int64  `json:"o"`
		}
		if err := json.Unmarshal(b[10:size], &entry); err != nil {
			return nil, err
		}
		if entry.Type == "commit" {
			at[source{entry.Topic, entry.Part}] = entry.Offset
		}
		b = b[size:]
	}
	return at, nil
}

// batchSize returns the size of the batch that b begins with, 0 if it isn't whole.
func batchSize(b []byte) int {
	const length, before = 8, 12 // where a batch says how many bytes follow after the first 12
	if len(b) < before {
		return 0
	}
	if size := before + int(binary.BigEndian.Uint32(b[length:])); size <= len(b) {
		return size
	}
	return 0
}

// mergedBatches returns how many batches are in the log that nobody sent: of several records, and of no producer.
func mergedBatches(data string) (merged int, err error) {
	files, err := filepath.Glob(filepath.Join(data, "broker", "partitions", "*", "*.dat"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return merged, err
		}
		for n := batchSize(b); n > 0; n = batchSize(b) {
			const producer, count = 43, 57
			if int64(binary.BigEndian.Uint64(b[producer:])) == -1 && binary.BigEndian.Uint32(b[count:]) > 1 {
				merged++
			}
			b = b[n:]
		}
	}
	return merged, err
}
