package groups

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// States, as Kafka spells them. Empty and Dead are told of groups that aren't here: ones with commits, and others.
const (
	Empty      = "Empty"
	Dead       = "Dead"
	Preparing  = "PreparingRebalance"
	Completing = "CompletingRebalance"
	Stable     = "Stable"
)

// A group is guarded by its lock, which Coordinator.lock takes. Its timers take it too.
type group struct {
	id          string
	coordinator *Coordinator

	mu           sync.Mutex
	dead         bool // not the group of its id any more
	state        string
	generation   int32
	protocolType string
	protocol     string
	leader       string // id
	members      map[string]*member
	instances    map[string]string      // ids of static members
	pending      map[string]*time.Timer // ids that were given out and have not joined yet
	rebalance    *time.Timer            // that ends the waiting of the state
	phase        int                    // counts what the timer was started for
}

// A member is guarded by its group's lock.
type member struct {
	Member
	session, rebalance time.Duration
	protocols          []Protocol
	size               int // that it has of Coordinator.bytes
	deadline           time.Time
	expiry             *time.Timer
	joining            chan joinAnswer // not nil while it waits
	syncing            chan syncAnswer // not nil while it waits
	synced             bool            // it has asked for its assignment in this generation
}

type joinAnswer struct {
	Joined
	err error
}

type syncAnswer struct {
	Synced
	err error
}

func newGroup(c *Coordinator, id string) *group {
	return &group{
		id: id, coordinator: c, state: Preparing,
		members: make(map[string]*member), instances: make(map[string]string), pending: make(map[string]*time.Timer),
	}
}

// stop ends all timers.
func (g *group) stop() {
	g.startTimer(0, nil)
	for _, t := range g.pending {
		t.Stop()
	}
	for _, m := range g.members {
		m.expiry.Stop()
	}
}

// startTimer replaces the timer of the state; with nil there is none.
func (g *group) startTimer(after time.Duration, then func()) {
	g.phase++
	if g.rebalance != nil {
		g.rebalance.Stop()
		g.rebalance = nil
	}
	if then == nil {
		return
	}
	phase := g.phase
	g.rebalance = time.AfterFunc(after, func() {
		g.mu.Lock()
		defer g.coordinator.unlock(g)
		if !g.dead && g.phase == phase {
			then()
		}
	})
}

// caller returns the member who asks, as its id and instance say.
func (g *group) caller(by Caller) (*member, error) {
	if by.Instance != nil {
		id, known := g.instances[*by.Instance]
		switch {
		case !known:
			return nil, kerr.UnknownMemberID
		case by.Member != "" && id != by.Member:
			return nil, kerr.FencedInstanceID
		}
		return g.members[id], nil
	}
	m := g.members[by.Member]
	if m == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// callerNow is caller for what has to be said in the current generation.
func (g *group) callerNow(by Caller) (*member, error) {
	if by.Instance != nil && by.Member == "" {
		return nil, kerr.UnknownMemberID
	}
	m, err := g.caller(by)
	if err == nil && by.Generation != g.generation {
		err = kerr.IllegalGeneration
	}
	return m, err
}

// alive begins the session of a member anew.
func (g *group) alive(m *member) {
	m.deadline = time.Now().Add(m.session)
	m.expiry.Reset(m.session)
}

// watch makes a member's timer, which puts it out when its session is over. While it waits for an answer it is alive.
func (g *group) watch(m *member) {
	m.deadline = time.Now().Add(m.session)
	m.expiry = time.AfterFunc(m.session, func() {
		g.mu.Lock()
		defer g.coordinator.unlock(g)
		waits := m.joining != nil || m.syncing != nil
		if g.members[m.ID] == m && !waits && !time.Now().Before(m.deadline) {
			g.putOut(m)
		}
	})
}

// heartbeat of a member.
func (g *group) heartbeat(by Caller) error {
	if _, waits := g.pending[by.Member]; waits {
		return kerr.UnknownMemberID
	}
	m, err := g.callerNow(by)
	if err != nil {
		return err
	}
	g.alive(m)
	if g.state == Preparing {
		return kerr.RebalanceInProgress
	}
	return nil
}

// leave of a member, or of one that has an id and has not joined.
func (g *group) leave(by Caller) error {
	if by.Instance == nil && g.dropPending(by.Member) {
		g.tryComplete()
		return nil
	}
	m, err := g.caller(by)
	if err != nil {
		return err
	}
	g.putOut(m)
	return nil
}

// mayCommit says whether a commit is one of the group as it is.
func (g *group) mayCommit(by Caller) error {
	if by.Generation < 0 && by.Member == "" && by.Instance == nil {
		if len(g.members) > 0 {
			return kerr.UnknownMemberID // from outside, while somebody inside reads
		}
		return nil
	}
	m, err := g.callerNow(by)
	if err != nil {
		return err
	}
	if g.state == Completing {
		return kerr.RebalanceInProgress
	}
	g.alive(m)
	return nil
}

// putOut takes a member out of the group, tells it if it waits, and has the others begin again.
func (g *group) putOut(m *member) {
	g.remove(m, kerr.UnknownMemberID)
	if g.state == Preparing {
		g.tryComplete()
		return
	}
	g.prepare()
}

// remove takes a member out, and answers what it waits for.
func (g *group) remove(m *member, why error) {
	m.answerJoin(joinAnswer{Joined{Member: m.ID}, why})
	m.answerSync(syncAnswer{err: why})
	m.expiry.Stop()
	delete(g.members, m.ID)
	if m.Instance != nil && g.instances[*m.Instance] == m.ID {
		delete(g.instances, *m.Instance)
	}
	g.coordinator.reserve(-1, -m.size)
}

func (m *member) answerJoin(a joinAnswer) {
	if m.joining != nil {
		m.joining <- a // it has room for one
		m.joining = nil
	}
}

func (m *member) answerSync(a syncAnswer) {
	if m.syncing != nil {
		m.syncing <- a // it has room for one
		m.syncing = nil
	}
}

// sorted are the members in the order of their ids.
func (g *group) sorted() []*member {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *member) int { return cmp.Compare(a.ID, b.ID) })
}

// describeMembers tells of all members, with what they have said in the protocol that was chosen.
func (g *group) describeMembers() (all []Member) {
	for _, m := range g.sorted() {
		one := m.Member
		one.Metadata = m.metadata(g.protocol)
		all = append(all, one)
	}
	return all
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}
