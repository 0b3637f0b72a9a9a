package groups

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	session   = 10 * time.Second
	rebalance = time.Minute
)

// a consumer is what a client of Kafka does, one step at a time. Its steps that wait are goroutines of the bubble.
type consumer struct {
	t    *testing.T
	c    *Coordinator
	join Join
	last Joined
}

func newConsumer(t *testing.T, c *Coordinator, group string) *consumer {
	return &consumer{t: t, c: c, join: Join{
		Caller: Caller{Group: group}, ProtocolType: "consumer", Session: session, Rebalance: rebalance, TwoSteps: true,
		Protocols: []Protocol{{"range", []byte("topics")}, {"sticky", []byte("topics")}},
	}}
}

func (m *consumer) static(instance string) *consumer {
	m.join.Instance = &instance
	return m
}

// joining joins, in two steps if it has to, and tells of it at the channel.
func (m *consumer) joining() <-chan error {
	done := make(chan error, 1)
	go func() {
		joined, err := m.c.Join(m.t.Context(), m.join)
		if errors.Is(err, kerr.MemberIDRequired) {
			m.join.Member = joined.Member
			joined, err = m.c.Join(m.t.Context(), m.join)
		}
		if m.last = joined; err == nil {
			m.join.Member = joined.Member
		}
		done <- err
	}()
	return done
}

func (m *consumer) by() Caller {
	by := m.join.Caller
	by.Generation = m.last.Generation
	return by
}

// syncing asks what to read; the leader says that each member reads what it is called.
func (m *consumer) syncing() <-chan string {
	done := make(chan string, 1)
	go func() {
		assignments := make(map[string][]byte)
		for _, one := range m.last.Members {
			assignments[one.ID] = []byte("for " + one.ID)
		}
		s, err := m.c.Sync(m.t.Context(), Sync{Caller: m.by(), Assignments: assignments})
		if err != nil {
			done <- err.Error()
			return
		}
		done <- string(s.Assignment)
	}()
	return done
}

// stable has consumers join one after the other, and sync.
func stable(t *testing.T, all ...*consumer) {
	t.Helper()
	for i, m := range all {
		joins := []<-chan error{m.joining()}
		synctest.Wait() // the group has begun to rebalance, and those who are there hear of it
		for _, before := range all[:i] {
			joins = append(joins, before.joining())
		}
		for _, j := range joins {
			if err := <-j; err != nil {
				t.Fatal(err)
			}
		}
	}
	var syncs []<-chan string
	for _, m := range all {
		syncs = append(syncs, m.syncing())
	}
	for i, s := range syncs {
		if got, want := <-s, "for "+all[i].join.Member; got != want {
			t.Fatalf("member %d is to read %q, expected %q", i, got, want)
		}
	}
}

func check(t *testing.T, what string, got error, want *kerr.Error) {
	t.Helper()
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		t.Errorf("%s: %v, expected %v", what, got, want)
	}
}

func TestMembersShareAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		a, b := newConsumer(t, c, "g"), newConsumer(t, c, "g")
		stable(t, a)
		bJoins := b.joining()
		synctest.Wait()
		check(t, "a heartbeat while another joins", c.Heartbeat(a.by()), kerr.RebalanceInProgress)
		check(t, "joining again", <-a.joining(), nil)
		check(t, "joining", <-bJoins, nil)
		if a.last.Generation != 2 || b.last.Generation != 2 || a.last.Leader != b.last.Leader || a.last.Protocol != "range" {
			t.Fatalf("they are told %+v and %+v", a.last, b.last)
		}
		leader, follower := a, b
		if b.last.Leader == b.join.Member {
			leader, follower = b, a
		}
		if len(leader.last.Members) != 2 || len(follower.last.Members) != 0 || string(leader.last.Members[0].Metadata) != "topics" {
			t.Fatalf("the leader is told of %v, the other of %v", leader.last.Members, follower.last.Members)
		}
		waits := follower.syncing()
		synctest.Wait()
		check(t, "a commit before there are assignments", c.Commit(a.by(), func() error { return nil }), kerr.RebalanceInProgress)
		<-leader.syncing()
		if got := <-waits; got != "for "+follower.join.Member {
			t.Errorf("the follower reads %q", got)
		}
		d, _ := c.Describe("g")
		if d.State != Stable || len(d.Members) != 2 || string(d.Members[0].Assignment) != "for "+d.Members[0].ID || d.Protocol != "range" {
			t.Errorf("the group is %+v", d)
		}
		check(t, "a heartbeat", c.Heartbeat(a.by()), nil)
		check(t, "leaving", c.Leave(b.by()), nil)
		check(t, "a heartbeat when the other has left", c.Heartbeat(a.by()), kerr.RebalanceInProgress)
	})
}

func TestWhoIsSilentIsPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		a, b := newConsumer(t, c, "g"), newConsumer(t, c, "g")
		stable(t, a, b)
		time.Sleep(session * 2 / 3)
		check(t, "a heartbeat in time", c.Heartbeat(a.by()), nil)
		time.Sleep(session * 2 / 3)
		check(t, "a heartbeat of who was silent", c.Heartbeat(b.by()), kerr.UnknownMemberID)
		check(t, "a heartbeat of the other", c.Heartbeat(a.by()), kerr.RebalanceInProgress)
		time.Sleep(rebalance + time.Second)
		if d, exists := c.Describe("g"); exists || len(c.List()) != 0 || c.members != 0 || c.bytes != 0 {
			t.Errorf("a group whose members are gone is %+v, and %d members and %d bytes are counted", d, c.members, c.bytes)
		}
	})
}

// TestARebalanceWaitsNoLongerThanItsMembersSay for one that doesn't join again but sends heartbeats.
func TestARebalanceWaitsNoLongerThanItsMembersSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		a, b := newConsumer(t, c, "g"), newConsumer(t, c, "g")
		stable(t, a)
		joins, began := b.joining(), time.Now()
		synctest.Wait()
		for range 12 {
			check(t, "a heartbeat while it rebalances", c.Heartbeat(a.by()), kerr.RebalanceInProgress)
			time.Sleep(session / 2)
			synctest.Wait()
		}
		check(t, "joining", <-joins, nil)
		if waited := time.Since(began); waited != rebalance {
			t.Errorf("the group waited for %s", waited)
		}
		if len(b.last.Members) != 1 {
			t.Errorf("the leader is told of %v", b.last.Members)
		}
		check(t, "a heartbeat of who has not joined again", c.Heartbeat(a.by()), kerr.UnknownMemberID)
	})
}

func TestWhoNeverSyncsIsPutOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		a := newConsumer(t, c, "g")
		check(t, "joining", <-a.joining(), nil)
		for range 11 {
			check(t, "a heartbeat", c.Heartbeat(a.by()), nil)
			time.Sleep(session / 2)
		}
		time.Sleep(session / 2)
		synctest.Wait()
		check(t, "a heartbeat after the rebalance timeout", c.Heartbeat(a.by()), kerr.UnknownMemberID)
	})
}

func TestAnIDThatIsNotUsedHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		lost := newConsumer(t, c, "g")
		joined, err := c.Join(t.Context(), lost.join)
		check(t, "the first step", err, kerr.MemberIDRequired)
		a := newConsumer(t, c, "g")
		joins := a.joining()
		time.Sleep(session - time.Second)
		if len(joins) > 0 {
			t.Error("the group doesn't wait for who has an id")
		}
		time.Sleep(2 * time.Second)
		check(t, "joining", <-joins, nil)
		lost.join.Member = joined.Member
		_, err = c.Join(t.Context(), lost.join)
		check(t, "the second step, too late", err, kerr.UnknownMemberID)
		check(t, "leaving", c.Leave(a.by()), nil)
		if c.members != 0 {
			t.Errorf("%d members are counted", c.members)
		}
	})
}

// TestWhoGoesBeforeItHasAnIDIsNoMember: clients before version 4 join in one step.
func TestWhoGoesBeforeItHasAnIDIsNoMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		a, b := newConsumer(t, c, "g"), newConsumer(t, c, "g")
		stable(t, a)
		b.join.TwoSteps = false
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := c.Join(ctx, b.join)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		check(t, "joining again", <-a.joining(), nil)
		if len(a.last.Members) != 1 {
			t.Errorf("the members are %v", a.last.Members)
		}
	})
}

func TestAStaticMemberKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		one, two := newConsumer(t, c, "g").static("one"), newConsumer(t, c, "g").static("two")
		stable(t, one, two)
		follower, leader := one, two
		if one.last.Leader == one.join.Member {
			follower, leader = two, one
		}
		before := follower.by()
		again := newConsumer(t, c, "g").static(*follower.join.Instance)
		check(t, "joining again", <-again.joining(), nil)
		if again.last.Generation != leader.last.Generation || again.join.Member == before.Member {
			t.Errorf("it is told %+v", again.last)
		}
		if got := <-again.syncing(); got != "for "+before.Member {
			t.Errorf("it reads %q", got)
		}
		check(t, "a heartbeat of the leader", c.Heartbeat(leader.by()), nil)
		check(t, "a heartbeat of who was replaced", c.Heartbeat(before), kerr.FencedInstanceID)
		check(t, "a commit of who was replaced", c.Commit(before, func() error { t.Error("it commits"); return nil }), kerr.FencedInstanceID)
		check(t, "leaving by instance", c.Leave(Caller{Group: "g", Instance: again.join.Instance}), nil)
		check(t, "a heartbeat of the leader, alone", c.Heartbeat(leader.by()), kerr.RebalanceInProgress)
	})
}

func TestWhoMayCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		commits := 0
		commit := func(by Caller) error { return c.Commit(by, func() error { commits++; return nil }) }
		outside := Caller{Group: "g", Generation: -1}
		check(t, "from outside, nobody inside", commit(outside), nil)
		check(t, "of a generation that isn't", commit(Caller{Group: "g", Member: "m", Generation: 1}), kerr.IllegalGeneration)
		a := newConsumer(t, c, "g")
		stable(t, a)
		check(t, "of a member", commit(a.by()), nil)
		check(t, "from outside, somebody inside", commit(outside), kerr.UnknownMemberID)
		stale := a.by()
		stale.Generation--
		check(t, "of a generation before", commit(stale), kerr.IllegalGeneration)
		check(t, "of a stranger", commit(Caller{Group: "g", Member: "m", Generation: 1}), kerr.UnknownMemberID)
		if commits != 2 {
			t.Errorf("%d commits were written", commits)
		}
		full := errors.New("full")
		if err := c.Commit(a.by(), func() error { return full }); !errors.Is(err, full) {
			t.Errorf("a commit that can't be written: %v", err)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{Members: 2, Bytes: 1000})
		defer c.Close()
		a := newConsumer(t, c, "g")
		stable(t, a)
		try := func(what string, change func(*consumer), want *kerr.Error) {
			t.Helper()
			m := newConsumer(t, c, "g")
			change(m)
			check(t, what, <-m.joining(), want)
		}
		try("another protocol", func(m *consumer) { m.join.Protocols = []Protocol{{Name: "mine"}} }, kerr.InconsistentGroupProtocol)
		try("another type", func(m *consumer) { m.join.ProtocolType = "connect" }, kerr.InconsistentGroupProtocol)
		try("no protocol", func(m *consumer) { m.join.Protocols = nil }, kerr.InconsistentGroupProtocol)
		try("a session that is too short", func(m *consumer) { m.join.Session = time.Second }, kerr.InvalidSessionTimeout)
		try("a session that is too long", func(m *consumer) { m.join.Session = time.Hour }, kerr.InvalidSessionTimeout)
		try("too many bytes", func(m *consumer) { m.join.Protocols[0].Metadata = make([]byte, 1000) }, kerr.GroupMaxSizeReached)
		check(t, "a heartbeat", c.Heartbeat(a.by()), nil)
		joined, err := c.Join(t.Context(), newConsumer(t, c, "another").join)
		check(t, "the last that there is room for", err, kerr.MemberIDRequired)
		try("one too many", func(*consumer) {}, kerr.GroupMaxSizeReached)
		check(t, "leaving before joining", c.Leave(Caller{Group: "another", Member: joined.Member}), nil)
		if got := c.List(); !slices.Equal(got, []string{"g"}) {
			t.Errorf("the groups are %v", got)
		}
	})
}

func TestTheProtocolThatMostLikeIsChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Limits{})
		defer c.Close()
		var all []*consumer
		for range 3 {
			m := newConsumer(t, c, "g")
			m.join.Protocols = []Protocol{{Name: "mine"}, {Name: "sticky"}, {Name: "range"}}
			all = append(all, m)
		}
		all[0].join.Protocols = []Protocol{{Name: "range"}, {Name: "sticky"}}
		stable(t, all...)
		if got := all[1].last.Protocol; got != "sticky" {
			t.Errorf("%s is chosen", got)
		}
	})
}
