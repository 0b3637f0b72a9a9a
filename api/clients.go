package api

import (
	"math"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// mostClients is how many clients are remembered at least. Twice that many are at most, some 2 MiB.
const mostClients = 10_000

// clients is how often each client may come. Whoever was not seen while mostClients others were begins anew.
type clients struct {
	rate  rate.Limit
	burst int // a second's worth, and at least one

	mu            sync.Mutex // guards what follows
	recent, older map[netip.Prefix]*rate.Limiter
}

// newClients returns nil, which lets everyone in, if perSecond is 0.
func newClients(perSecond float64) *clients {
	if perSecond <= 0 {
		return nil
	}
	burst := int(math.Ceil(min(perSecond, math.MaxInt32)))
	return &clients{rate: rate.Limit(perSecond), burst: burst, recent: map[netip.Prefix]*rate.Limiter{}}
}

// wait returns how long the client at an address has to wait, 0 if it may come now.
func (c *clients) wait(at netip.Addr, now time.Time) time.Duration {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	turn := c.of(clientAt(at)).ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait > 0 {
		turn.CancelAt(now) // it is sent away, and so has not come
	}
	return wait
}

// of returns the limiter of a client. The caller holds mu.
func (c *clients) of(client netip.Prefix) *rate.Limiter {
	l := c.recent[client]
	if l != nil {
		return l
	}
	if l = c.older[client]; l == nil {
		l = rate.NewLimiter(c.rate, c.burst)
	}
	if len(c.recent) == mostClients {
		c.older, c.recent = c.recent, map[netip.Prefix]*rate.Limiter{}
	}
	c.recent[client] = l
	return l
}

// clientAt tells clients apart by what they can't choose freely: an IPv4 address, or the first 64 bits of an IPv6 one,
// of which every household has 2^64. The zero address is a client like all others whose address isn't known.
func clientAt(address netip.Addr) netip.Prefix {
	bits := 32
	if address.Is6() {
		bits = 64
	}
	client, _ := address.Prefix(bits) // fails for more bits than an address has
	return client
}
