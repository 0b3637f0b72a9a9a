package kafkaport

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"stockflow/journal"
	"stockflow/kafkaport/groups"
)

var (
	mutateFor  = flag.Duration("mutate", 3*time.Second, "how long TestMutatedRequests goes on")
	mutateSeed = flag.Uint64("seed", 1, "of TestMutatedRequests")
)

// alarms keeps what is logged as an error: a panic, or something that the server thinks is not the client's doing.
type alarms struct {
	slog.Handler
	mu     sync.Mutex
	raised []string
}

func (a *alarms) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

func (a *alarms) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := r.Message
	r.Attrs(func(one slog.Attr) bool { text += " " + one.String(); return true })
	a.raised = append(a.raised, text)
	return nil
}

// An original is a valid request, to be changed a little.
type original struct {
	kmsg.Request
	frame    []byte
	answered atomic.Int64 // of what was made from it
}

// originals returns requests of each kind and version. What they would change is there already, or of the group "mutants".
func (p *port) originals(batch []byte) (all []*original) {
	topic, err := p.server.topicNamed(single)
	if err != nil {
		p.t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(*mutateSeed, 0))
	eachVersion(func(q kmsg.Request) {
		fill(random, reflect.ValueOf(q).Elem())
		switch q := q.(type) {
		case *kmsg.ProduceRequest:
			version := q.Version
			*q = *produceRequest(version, single, 0, batch)
			q.Topics[0].TopicID = topic.ID
		case *kmsg.FetchRequest:
			version := q.Version
			*q = *fetchRequest(nil, single, table)
			q.Version, q.Topics[0].TopicID, q.ReplicaID, q.ReplicaState.ID = version, topic.ID, -1, -1
		case *kmsg.OffsetCommitRequest:
			q.Group, q.Generation, q.MemberID, q.InstanceID = "mutants", -1, "", nil
			for i := range q.Topics {
				q.Topics[i].Topic, q.Topics[i].TopicID = single, topic.ID
			}
		case *kmsg.JoinGroupRequest:
			q.Group, q.MemberID, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = "mutants", "", "consumer", 200, 200
			q.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte("m")}}
		case *kmsg.HeartbeatRequest:
			q.Group = "mutants"
		case *kmsg.SyncGroupRequest:
			q.Group = "mutants"
		case *kmsg.LeaveGroupRequest:
			q.Group = "mutants"
		}
		all = append(all, &original{Request: q, frame: encode(q, 1)})
	})
	return all
}

// mutate changes a request in one to five places, mostly behind its kind and version.
func mutate(random *rand.Rand, frame, other []byte) []byte {
	b := slices.Clone(frame)
	from := 8
	if random.IntN(20) == 0 {
		from = 0
	}
	for range 1 + random.IntN(5) {
		at := min(from+random.IntN(max(len(b)-from, 1)), len(b)-1)
		switch random.IntN(8) {
		case 0, 1:
			b[at] ^= 1 << random.IntN(8)
		case 2:
			b[at] = []byte{0, 1, 0x7f, 0x80, 0xff}[random.IntN(5)]
		case 3:
			if at+4 <= len(b) {
				binary.BigEndian.PutUint32(b[at:], []uint32{0, 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, uint32(len(b))}[random.IntN(6)])
			}
		case 4:
			b = slices.Insert(b, at, binary.AppendUvarint(nil, random.Uint64N(1<<32))...)
		case 5:
			b = slices.Delete(b, at, min(at+1+random.IntN(8), len(b)))
		case 6:
			b = slices.Insert(b, at, b[at:min(at+random.IntN(64), len(b))]...)
		case 7:
			cut := random.IntN(len(other))
			b = append(b[:at:at], other[cut:]...)
		}
		if len(b) < 9 {
			return frame
		}
	}
	if random.IntN(50) > 0 {
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	}
	return b
}

// what must stay as it is, whatever is sent.
func (p *port) kept() string {
	var topics []string
	for _, t := range p.journal.Topics() {
		topics = append(topics, fmt.Sprint(t, p.ends(t.Name)))
	}
	return fmt.Sprint(topics, p.journal.Committed(ownGroup, journal.Durable), p.journal.Committed("theirs", journal.Durable))
}

// TestMutatedRequests sends valid requests of each kind and version with some bytes changed. Nothing ends, nothing hangs,
// nothing is taken that wasn't said.
func TestMutatedRequests(t *testing.T) {
	t.Parallel()
	log := &alarms{}
	p := open(t, Limits{FetchWait: 20 * time.Millisecond, Groups: 20, Members: groups.Limits{ShortestSession: 100 * time.Millisecond, LongestSession: time.Second}})
	p.server.log = slog.New(log)
	p.append(table, 0, sized(5, 100)...)
	for group, offset := range map[string]int64{ownGroup: 3, "theirs": 4} {
		if _, err := p.journal.Commit(group, map[journal.TopicPartition]journal.Committed{{Topic: single}: {Offset: offset}}); err != nil {
			t.Fatal(err)
		}
	}
	r := p.raw()
	id := ask[*kmsg.InitProducerIDResponse](r, kmsg.NewPtrInitProducerIDRequest()).ProducerID
	batch := newBatch(numbered("v", 5)...).from(id, 0, 0).bytes()
	if got := r.produceRaw(batch); got.ErrorCode != 0 {
		t.Fatalf("%+v", got)
	}
	originals := p.originals(batch)
	for _, o := range originals {
		r := p.raw()
		r.n = 1
		if _, err := r.conn.Write(o.frame); err != nil {
			t.Fatal(err)
		}
		if _, err := r.receive(o.Request); err != nil {
			t.Fatalf("%s version %d as it should be: %v", kmsg.NameForKey(o.Key()), o.GetVersion(), err)
		}
	}
	before := p.kept()
	var workers sync.WaitGroup
	var sent atomic.Int64
	end := time.Now().Add(*mutateFor)
	for worker := range 4 {
		workers.Go(func() { sent.Add(p.sendMutants(rand.New(rand.NewPCG(*mutateSeed, uint64(worker+1))), originals, end)) })
	}
	workers.Wait()
	if after := p.kept(); after != before {
		t.Errorf("seed %d: it has changed from\n%s to\n%s", *mutateSeed, before, after)
	}
	if !p.answers() {
		t.Errorf("seed %d: the port doesn't answer any more", *mutateSeed)
	}
	reached := map[string]int{}
	for _, o := range originals {
		name := kmsg.NameForKey(o.Key())
		reached[name] += int(o.answered.Load())
		if o.answered.Load() == 0 && sent.Load() > 200*int64(len(originals)) {
			t.Errorf("nothing that was made from %s version %d is answered", name, o.GetVersion())
		}
	}
	t.Logf("seed %d: %d requests were sent, answered of each kind: %v", *mutateSeed, sent.Load(), reached)
	p.close()
	for name, budget := range map[string]interface{ TryAcquire(int64) bool }{"requests": p.server.requests, "decompressed": p.server.decompressed, "answers": p.server.answers} {
		if limit := map[string]int64{"requests": p.server.limits.Requests, "decompressed": p.server.limits.Decompressed, "answers": p.server.limits.Answers}[name]; !budget.TryAcquire(limit) {
			t.Errorf("seed %d: some memory of %s was never given back", *mutateSeed, name)
		}
	}
	if len(log.raised) > 0 {
		t.Errorf("seed %d: %d alarms, the first: %s", *mutateSeed, len(log.raised), log.raised[0])
	}
}

// sendMutants sends until the end, and returns how many. A connection is used until it is closed.
func (p *port) sendMutants(random *rand.Rand, originals []*original, end time.Time) (sent int64) {
	var conn net.Conn
	for ; time.Now().Before(end); sent++ {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", p.address); err != nil {
				p.t.Errorf("the port takes no connections any more: %v", err)
				return sent
			}
		}
		o := originals[random.IntN(len(originals))]
		mutant := mutate(random, o.frame, originals[random.IntN(len(originals))].frame)
		if answered, open := exchange(conn, mutant); answered {
			o.answered.Add(1)
		} else if !open {
			_ = conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		_ = conn.Close()
	}
	return sent
}

// exchange sends bytes, and reports whether they are answered and whether the connection is still of use. A request may wait,
// or be cut and never answered; then it is left.
func exchange(conn net.Conn, sent []byte) (answered, open bool) {
	if conn.SetDeadline(time.Now().Add(100*time.Millisecond)) != nil {
		return false, false
	}
	if _, err := conn.Write(sent); err != nil {
		return false, false
	}
	if _, err := readWhole(conn); err != nil {
		return false, false
	}
	return true, true
}

// TestMutantsDiffer: what is sent is not what was there before, nor always the same.
func TestMutantsDiffer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	frame := encode(produceRequest(9, single, 0, newBatch("v").bytes()), 1)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(mutate(random, frame, frame))] = true
	}
	if len(seen) < 900 {
		t.Errorf("only %d of 1000 differ: %v", len(seen), slices.Collect(maps.Keys(seen))[:1])
	}
}
