package replay

import "sync/atomic"

// Progress counts records while they are read. A nil Progress counts nothing. Its methods may be called at once.
type Progress struct{ done, all atomic.Int64 }

// Done returns how many records were read, and of how many.
func (p *Progress) Done() (done, all int64) { return p.done.Load(), p.all.Load() }

func (p *Progress) add(n int64) {
	if p != nil {
		p.done.Add(n)
	}
}

func (p *Progress) expect(n int64) {
	if p != nil {
		p.all.Add(n)
	}
}
