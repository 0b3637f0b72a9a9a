package groups

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// join returns a channel to wait at, or an answer.
func (g *group) join(j Join) (chan joinAnswer, Joined, error) {
	if !g.supports(j) {
		return nil, Joined{}, kerr.InconsistentGroupProtocol
	}
	if j.Member == "" {
		return g.joinNew(j)
	}
	if j.Instance == nil && g.dropPending(j.Member) {
		return g.admit(j, j.Member)
	}
	m, err := g.caller(j.Caller)
	if err != nil {
		return nil, Joined{Member: j.Member}, err
	}
	return g.rejoin(m, j)
}

// joinNew is for those without an id: static members, who may take the place that they had, and new ones.
func (g *group) joinNew(j Join) (chan joinAnswer, Joined, error) {
	id := newMemberID(j)
	if j.Instance != nil {
		if before, known := g.instances[*j.Instance]; known {
			return g.replace(g.members[before], j, id)
		}
		return g.admit(j, id)
	}
	if !j.TwoSteps {
		return g.admit(j, id)
	}
	if !g.coordinator.reserve(1, 0) {
		return nil, Joined{}, kerr.GroupMaxSizeReached
	}
	g.pending[id] = time.AfterFunc(j.Session, func() {
		g.mu.Lock()
		defer g.coordinator.unlock(g)
		if g.dropPending(id) {
			g.tryComplete()
		}
	})
	return nil, Joined{Member: id}, kerr.MemberIDRequired
}

// dropPending forgets an id that was given out and has not joined yet, and reports whether it was one.
func (g *group) dropPending(id string) bool {
	t, waits := g.pending[id]
	if waits {
		t.Stop()
		delete(g.pending, id)
		g.coordinator.reserve(-1, 0)
	}
	return waits
}

func newMemberID(j Join) string {
	name := j.ClientID
	if j.Instance != nil {
		name = *j.Instance
	}
	if name = name[:min(len(name), 100)]; name == "" {
		return rand.Text()
	}
	return name + "-" + rand.Text()
}

// supports reports whether the others know one of the protocols too. The member itself, and the one whose place it takes,
// are no others.
func (g *group) supports(j Join) bool {
	others := 0
	counts := make(map[string]int)
	for _, m := range g.members {
		if m.ID == j.Member || j.Instance != nil && m.Instance != nil && *m.Instance == *j.Instance {
			continue
		}
		others++
		for _, p := range m.protocols {
			counts[p.Name]++
		}
	}
	if others == 0 {
		return true
	}
	return j.ProtocolType == g.protocolType && slices.ContainsFunc(j.Protocols, func(p Protocol) bool { return counts[p.Name] == others })
}

// admit adds a member, and has all join again.
func (g *group) admit(j Join, id string) (chan joinAnswer, Joined, error) {
	m := &member{Member: Member{ID: id, Instance: j.Instance}}
	if !g.coordinator.reserve(1, 0) {
		return nil, Joined{}, kerr.GroupMaxSizeReached
	}
	if !g.update(m, j) {
		g.coordinator.reserve(-1, 0)
		return nil, Joined{}, kerr.GroupMaxSizeReached
	}
	g.members[id] = m
	if j.Instance != nil {
		g.instances[*j.Instance] = id
	}
	g.watch(m)
	return g.wait(m)
}

// update takes in what a member says of itself, and reports whether there is room for it.
func (g *group) update(m *member, j Join) bool {
	size := len(m.ID) + len(j.ClientID)
	if j.Instance != nil {
		size += len(*j.Instance)
	}
	for _, p := range j.Protocols {
		size += len(p.Name) + len(p.Metadata)
	}
	if !g.coordinator.reserve(0, size-m.size) {
		return false
	}
	m.size = size
	m.ClientID, m.Host, m.protocols = j.ClientID, j.Host, j.Protocols
	m.session, m.rebalance = j.Session, j.Rebalance
	g.protocolType = j.ProtocolType
	return true
}

// wait has a member wait for the next generation.
func (g *group) wait(m *member) (chan joinAnswer, Joined, error) {
	m.answerJoin(joinAnswer{Joined{Member: m.ID}, kerr.UnknownMemberID}) // it has asked again, on another connection
	waiting := make(chan joinAnswer, 1)
	m.joining = waiting
	if g.state == Preparing {
		if g.rebalance == nil {
			g.prepare()
		} else {
			g.tryComplete()
		}
		return waiting, Joined{}, nil
	}
	g.prepare()
	return waiting, Joined{}, nil
}

// rejoin is for members. Who says what it said before, and doesn't lead, gets the generation that there is: it has not heard
// the answer.
func (g *group) rejoin(m *member, j Join) (chan joinAnswer, Joined, error) {
	same := slices.EqualFunc(m.protocols, j.Protocols, func(a, b Protocol) bool { return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata) })
	if !g.update(m, j) {
		return nil, Joined{Member: m.ID}, kerr.GroupMaxSizeReached
	}
	if same && (g.state == Completing || g.state == Stable && m.ID != g.leader) {
		g.alive(m)
		return nil, g.joined(m), nil
	}
	return g.wait(m)
}

// replace gives the place of a static member to the same one, started again, under a new id: who still uses the old one is
// fenced. If it says what it said before, and doesn't lead, the others don't notice.
func (g *group) replace(m *member, j Join, id string) (chan joinAnswer, Joined, error) {
	m.answerJoin(joinAnswer{Joined{Member: m.ID}, kerr.FencedInstanceID})
	m.answerSync(syncAnswer{err: kerr.FencedInstanceID})
	led := m.ID == g.leader
	delete(g.members, m.ID)
	m.ID = id
	g.members[id], g.instances[*j.Instance] = m, id
	if led {
		g.leader = id
	}
	if g.state == Stable {
		return g.rejoin(m, j)
	}
	if !g.update(m, j) {
		return nil, Joined{Member: id}, kerr.GroupMaxSizeReached
	}
	return g.wait(m)
}

// prepare has all members join again.
func (g *group) prepare() {
	longest := time.Duration(0)
	for _, m := range g.members {
		m.answerSync(syncAnswer{err: kerr.RebalanceInProgress})
		longest = max(longest, m.rebalance)
	}
	g.state = Preparing
	g.startTimer(longest, g.complete)
	g.tryComplete()
}

// tryComplete begins a generation if nobody is waited for.
func (g *group) tryComplete() {
	if g.state != Preparing || len(g.members) == 0 || len(g.pending) > 0 {
		return
	}
	for _, m := range g.members {
		if m.joining == nil {
			return
		}
	}
	g.complete()
}

// complete begins a generation with those who have joined.
func (g *group) complete() {
	for id := range g.pending {
		g.dropPending(id)
	}
	longest := time.Duration(0)
	for _, m := range g.sorted() {
		if m.joining == nil {
			g.remove(m, kerr.UnknownMemberID)
			continue
		}
		longest = max(longest, m.rebalance)
	}
	if len(g.members) == 0 {
		g.startTimer(0, nil)
		return
	}
	g.generation++
	g.state = Completing
	g.protocol = g.vote()
	members := g.sorted()
	if g.members[g.leader] == nil {
		g.leader = members[0].ID
	}
	for _, m := range members {
		m.Assignment, m.synced = nil, false
	}
	for _, m := range members {
		m.answerJoin(joinAnswer{g.joined(m), nil})
		g.alive(m)
	}
	g.startTimer(longest, g.putOutSilent)
}

// joined is what a member is told of the generation.
func (g *group) joined(m *member) Joined {
	j := Joined{Member: m.ID, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: g.leader}
	if m.ID == g.leader {
		j.Members = g.describeMembers()
	}
	return j
}

// vote chooses a protocol that all know: the one that most like best.
func (g *group) vote() (best string) {
	members := g.sorted()
	known := make(map[string]int)
	for _, m := range members {
		for _, p := range m.protocols {
			known[p.Name]++
		}
	}
	votes := make(map[string]int)
	for _, m := range members {
		i := slices.IndexFunc(m.protocols, func(p Protocol) bool { return known[p.Name] == len(members) })
		if i < 0 {
			continue // none is known to all, which supports prevents
		}
		name := m.protocols[i].Name
		if votes[name]++; votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// putOutSilent puts out those who have joined and then not asked what they read.
func (g *group) putOutSilent() {
	silent := false
	for _, m := range g.sorted() {
		if !m.synced {
			g.remove(m, kerr.UnknownMemberID)
			silent = true
		}
	}
	if silent {
		g.prepare()
	}
}

// sync returns a channel to wait at, or an answer.
func (g *group) sync(s Sync) (chan syncAnswer, Synced, error) {
	m, err := g.callerNow(s.Caller)
	switch {
	case err != nil:
		return nil, Synced{}, err
	case s.ProtocolType != nil && *s.ProtocolType != g.protocolType || s.Protocol != nil && *s.Protocol != g.protocol:
		return nil, Synced{}, kerr.InconsistentGroupProtocol
	case g.state == Preparing:
		return nil, Synced{}, kerr.RebalanceInProgress
	}
	m.synced = true
	if g.state == Completing && m.ID != g.leader {
		m.answerSync(syncAnswer{err: kerr.UnknownMemberID}) // it has asked again, on another connection
		m.syncing = make(chan syncAnswer, 1)
		return m.syncing, Synced{}, nil
	}
	if g.state == Completing && !g.assign(s.Assignments) {
		return nil, Synced{}, kerr.GroupMaxSizeReached
	}
	g.alive(m)
	return nil, g.syncedAs(m), nil
}

// assign takes in what the leader has decided, and tells those who wait. It reports whether there was room.
func (g *group) assign(assignments map[string][]byte) bool {
	total := 0
	for _, m := range g.members {
		total += len(assignments[m.ID])
	}
	if !g.coordinator.reserve(0, total) {
		return false
	}
	g.state = Stable
	for _, m := range g.members {
		m.Assignment = assignments[m.ID]
		m.size += len(m.Assignment)
		if m.syncing != nil {
			m.answerSync(syncAnswer{g.syncedAs(m), nil})
			g.alive(m)
		}
	}
	return true
}

func (g *group) syncedAs(m *member) Synced {
	return Synced{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.Assignment}
}
