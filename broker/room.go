package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A disk that is full is not an error to the server's mind. It counts a batch that it could not write among those that
// it has: when the client sends it again, as it does when the answer got lost, it is acknowledged as a repeat and is in no
// log. A topic that it could not write down is there until the next start. What it writes in part
// makes all behind it unreadable, in the files of the groups and the producers.
//
// So it is not let come to that. While there is less room than is kept in reserve, writes are refused with an error that
// clients try again at, and go through once there is room. Should a write fail nevertheless, because somebody else took the
// reserve in one go or the disk is broken, then nothing is written any more, and the process is told to end: the next start mends
// the files, and every acknowledged record is in them.

// reserve is how much room there has to be, in bytes: enough for what is under way, for the state of groups, and for the files that
// the server writes when it stops.
const reserve = 16 << 20

// ErrFull says that the disk has less room than is kept in reserve.
var ErrFull = errors.New("the disk is full")

// ErrWrite says that the log could not be written.
var ErrWrite = errors.New("the log could not be written")

// room guards the directory of a log. Its methods may be called at once.
type room struct {
	dir  string
	free func(dir string) (uint64, error)

	mu     sync.Mutex // guards what follows
	failed error
	broken chan error // gets the first error
}

func newRoom(dir string, free func(string) (uint64, error)) *room {
	return &room{dir: dir, free: free, broken: make(chan error, 1)}
}

// freeBytes is how much room there is for those who aren't root.
func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// check returns nil if need bytes can be written, or why not: ErrFull, which passes, or ErrWrite, which doesn't.
func (r *room) check(need uint64) error {
	r.mu.Lock()
	failed := r.failed
	r.mu.Unlock()
	if failed != nil {
		return failed
	}
	free, err := r.free(r.dir)
	if err != nil {
		return fmt.Errorf("%w: how much room %s has can't be told: %w", ErrFull, r.dir, err)
	}
	if free < need {
		return fmt.Errorf("%w: %s has %d MiB left, and %d MiB are kept in reserve; make room, and it goes on by itself", ErrFull, r.dir, free>>20, reserve>>20)
	}
	return nil
}

// failWrite notes that the server could not write.
func (r *room) failWrite(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = fmt.Errorf("%w in %s: %w; what was acknowledged is in it: see to the disk, and start again", ErrWrite, r.dir, err)
		r.broken <- r.failed
	}
}

// heed looks at what the server says for a write that failed: it says so there and nowhere else, before it answers. The
// state of groups may fail: offsets are then behind, which is what offsets may be, and the file is mended at the next start.
func (r *room) heed(format string, args ...any) {
	if strings.HasPrefix(format, "persist batch") || strings.HasPrefix(format, "persist %s") {
		r.failWrite(fmt.Errorf(format, args...))
	}
}

// guard has the server refuse what it has no room for, and lets s see the rest of what is produced. Offsets may be committed
// a little longer than messages are taken, so that what has happened can be told.
func (r *room) guard(c *kfake.Cluster, s *stamp) {
	attend(c, kmsg.Produce, func(req kmsg.Request) kmsg.Response {
		produce := req.(*kmsg.ProduceRequest)
		err := r.check(reserve)
		switch {
		case err == nil:
			s.produce(produce)
		case produce.Acks == 0: // nobody waits for an answer, and there may be none
			produce.Topics = nil
		default:
			return refuseProduce(produce, err.Error())
		}
		return nil
	})
	attend(c, kmsg.OffsetCommit, func(req kmsg.Request) kmsg.Response {
		if err := r.check(reserve / 2); err != nil {
			return refuseCommit(req.(*kmsg.OffsetCommitRequest))
		}
		return nil
	})
	attend(c, kmsg.CreateTopics, func(req kmsg.Request) kmsg.Response {
		if err := r.check(reserve); err != nil {
			return refuseTopics(req.(*kmsg.CreateTopicsRequest), err.Error())
		}
		return nil
	})
}

// renewControl is after how many requests a control is put in place anew. It remembers, for every connection there ever
// was, the last request; so it must not live for ever.
const renewControl = 4096

// attend lets see look at each request of a kind before the server does. What it answers, the server never sees; on nil the
// server does the rest. There may be only one for a kind: when one is renewed, the next would miss a request.
func attend(c *kfake.Cluster, kind kmsg.Key, see func(kmsg.Request) kmsg.Response) {
	seen := 0
	c.ControlKey(int16(kind), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if seen++; seen == renewControl {
			c.DropControl()
			attend(c, kind, see)
		}
		answer := see(req)
		return answer, nil, answer != nil
	})
}

// refuseProduce answers that the disk is at fault, at which clients try again, for as long as their settings let them.
func refuseProduce(req *kmsg.ProduceRequest, why string) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewProduceResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewProduceResponseTopicPartition()
			part.Partition, part.ErrorCode, part.ErrorMessage = p.Partition, kerr.KafkaStorageError.Code, &why
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func refuseCommit(req *kmsg.OffsetCommitRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			part := kmsg.NewOffsetCommitResponseTopicPartition()
			part.Partition, part.ErrorCode = p.Partition, kerr.CoordinatorNotAvailable.Code
			topic.Partitions = append(topic.Partitions, part)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

func refuseTopics(req *kmsg.CreateTopicsRequest, why string) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, t := range req.Topics {
		topic := kmsg.NewCreateTopicsResponseTopic()
		topic.Topic, topic.ErrorCode, topic.ErrorMessage = t.Topic, kerr.KafkaStorageError.Code, &why
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}
