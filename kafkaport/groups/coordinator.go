package groups

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Limits bound what members may ask for. A zero is its default, which is Kafka's where Kafka has one.
type Limits struct {
	ShortestSession time.Duration // 6 s
	LongestSession  time.Duration // 30 min
	Members         int           // over all groups; 1,000
	Bytes           int           // of ids, metadata and assignments over all groups; 16 MiB
}

func (l Limits) withDefaults() Limits {
	if l.ShortestSession == 0 {
		l.ShortestSession = 6 * time.Second
	}
	if l.LongestSession == 0 {
		l.LongestSession = 30 * time.Minute
	}
	if l.Members == 0 {
		l.Members = 1_000
	}
	if l.Bytes == 0 {
		l.Bytes = 16 << 20
	}
	return l
}

// Caller says who asks, in which generation.
type Caller struct {
	Group      string
	Member     string  // "" when it joins for the first time
	Instance   *string // of a static member, which keeps its place while it is restarted
	Generation int32
}

// Protocol is a way of assigning partitions that a member knows, with what it says of itself in it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Join is what a member says when it joins.
type Join struct {
	Caller
	ClientID, Host string
	ProtocolType   string
	Protocols      []Protocol // the one it likes best first
	Session        time.Duration
	Rebalance      time.Duration
	TwoSteps       bool // a new member is given its id first, and joins with it
}

// Joined is what a member is told when a generation begins. With an error, only Member may be set.
type Joined struct {
	Member       string // its id from now on
	Generation   int32
	ProtocolType string
	Protocol     string
	Leader       string
	Members      []Member // all of them, for the leader alone
}

// Member is what the leader, and who asks, is told of a member.
type Member struct {
	ID             string
	Instance       *string
	ClientID, Host string
	Metadata       []byte
	Assignment     []byte
}

// Sync is what a member says when it has joined.
type Sync struct {
	Caller
	ProtocolType *string // nil: not said
	Protocol     *string
	Assignments  map[string][]byte // by member id; of the leader alone
}

// Synced is what a member reads until the next rebalance.
type Synced struct {
	ProtocolType, Protocol string
	Assignment             []byte
}

// Coordinator has all groups. Its methods may be called at once.
type Coordinator struct {
	limits Limits

	mu      sync.Mutex // guards what follows; held for less than a request takes, and never with a group's
	groups  map[string]*group
	members int
	bytes   int
	closed  bool
}

// New returns a coordinator without groups.
func New(l Limits) *Coordinator {
	return &Coordinator{limits: l.withDefaults(), groups: make(map[string]*group)}
}

// Limits returns the limits, with defaults filled in.
func (c *Coordinator) Limits() Limits { return c.limits }

// Close ends the timers. Nobody may be waiting, and nobody may call any more.
func (c *Coordinator) Close() {
	c.mu.Lock()
	c.closed = true
	groups := c.groups
	c.groups = nil
	c.mu.Unlock()
	for _, g := range groups {
		g.mu.Lock()
		g.stop()
		g.mu.Unlock()
	}
}

// lock returns a group with its lock held: it is not dead, and stays so until the lock is given back. If there is none it
// is created, or nil is returned.
func (c *Coordinator) lock(id string, create bool) *group {
	for {
		c.mu.Lock()
		g := c.groups[id]
		if g == nil && create && !c.closed {
			g = newGroup(c, id)
			c.groups[id] = g
		}
		c.mu.Unlock()
		if g == nil {
			return nil
		}
		g.mu.Lock()
		if !g.dead {
			return g
		}
		g.mu.Unlock() // it has been taken out meanwhile
	}
}

// unlock gives a group back, and takes it out if it has nobody.
func (c *Coordinator) unlock(g *group) {
	g.dead = len(g.members) == 0 && len(g.pending) == 0
	dead := g.dead
	if dead {
		g.stop()
	}
	g.mu.Unlock()
	if dead {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.groups[g.id] == g {
			delete(c.groups, g.id)
		}
	}
}

// reserve makes room for members and bytes, of which both may be negative, and reports whether there is.
func (c *Coordinator) reserve(members, bytes int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if members > 0 && c.members+members > c.limits.Members || bytes > 0 && c.bytes+bytes > c.limits.Bytes {
		return false
	}
	c.members += members
	c.bytes += bytes
	return true
}

// Join makes the caller a member, and returns when the generation that it is in has begun. With the context it gives up; a
// member that has never heard its id is then put out.
func (c *Coordinator) Join(ctx context.Context, j Join) (Joined, error) {
	if j.Session < c.limits.ShortestSession || j.Session > c.limits.LongestSession {
		return Joined{}, kerr.InvalidSessionTimeout
	}
	if len(j.Protocols) == 0 || j.ProtocolType == "" {
		return Joined{}, kerr.InconsistentGroupProtocol
	}
	j.Rebalance = min(max(j.Rebalance, time.Second), c.limits.LongestSession)
	g := c.lock(j.Group, true)
	if g == nil {
		return Joined{}, kerr.CoordinatorNotAvailable
	}
	waiting, joined, err := g.join(j)
	c.unlock(g)
	if waiting == nil {
		return joined, err
	}
	select {
	case answer := <-waiting:
		return answer.Joined, answer.err
	case <-ctx.Done():
		if j.Member == "" {
			c.forget(j.Group, waiting)
		}
		return Joined{}, ctx.Err()
	}
}

// forget puts out the member that waits at a channel, if it still does.
func (c *Coordinator) forget(id string, waiting chan joinAnswer) {
	g := c.lock(id, false)
	if g == nil {
		return
	}
	defer c.unlock(g)
	for _, m := range g.members {
		if m.joining == waiting {
			g.putOut(m)
			return
		}
	}
}

// Sync returns what the member reads, once the leader has said so.
func (c *Coordinator) Sync(ctx context.Context, s Sync) (Synced, error) {
	g := c.lock(s.Group, false)
	if g == nil {
		return Synced{}, kerr.UnknownMemberID
	}
	waiting, synced, err := g.sync(s)
	c.unlock(g)
	if waiting == nil {
		return synced, err
	}
	select {
	case answer := <-waiting:
		return answer.Synced, answer.err
	case <-ctx.Done():
		return Synced{}, ctx.Err()
	}
}

// Heartbeat says that a member is alive, and returns RebalanceInProgress if it has to join again.
func (c *Coordinator) Heartbeat(by Caller) error {
	g := c.lock(by.Group, false)
	if g == nil {
		return kerr.UnknownMemberID
	}
	defer c.unlock(g)
	return g.heartbeat(by)
}

// Leave takes a member out: by its id, or a static one by its instance alone.
func (c *Coordinator) Leave(by Caller) error {
	g := c.lock(by.Group, false)
	if g == nil {
		return kerr.UnknownMemberID
	}
	defer c.unlock(g)
	return g.leave(by)
}

// Commit calls write if the caller may commit now: as a member, in its generation, or from outside, without a member id, when
// the group has no members. No rebalance ends before write has returned.
func (c *Coordinator) Commit(by Caller, write func() error) error {
	g := c.lock(by.Group, false)
	if g == nil {
		if by.Generation >= 0 {
			return kerr.IllegalGeneration
		}
		return write()
	}
	defer c.unlock(g)
	if err := g.mayCommit(by); err != nil {
		return err
	}
	return write()
}

// List returns the ids of the groups that have members.
func (c *Coordinator) List() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]string, 0, len(c.groups))
	for id := range c.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Description is what is told of a group.
type Description struct {
	State, ProtocolType, Protocol string
	Members                       []Member
}

// Describe returns what a group is like, and whether it has members. One that hasn't is Empty.
func (c *Coordinator) Describe(id string) (Description, bool) {
	g := c.lock(id, false)
	if g == nil {
		return Description{State: Empty}, false
	}
	defer c.unlock(g)
	d := Description{State: g.state, ProtocolType: g.protocolType, Members: g.describeMembers()}
	if g.state == Stable || g.state == Completing {
		d.Protocol = g.protocol
	}
	return d, true
}
