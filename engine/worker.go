package engine

import "sync"

// worker is one partition of a group while this instance owns it. It carries three of the four rules:
//
//   - A row waits here until every output emitted before it is acknowledged; only then its changelog record is sent.
//     If the process dies before, the message is processed again and its outputs repeat, with the same origins.
//   - The store on disk learns of a row when its changelog record is acknowledged, never before.
//   - A message is done when goka says so, and its offset is marked when every one delivered before it is done too.
//
// A worker begins when goka builds the partition's storage and ends when it closes it.
type worker struct {
	partition int32
	store     *Store
	// send hands a row to the client. It may block, so it is called by the worker's own goroutine and never by a
	// promise, which would freeze the client.
	send func(*worker, *held)

	// sending is held from the taking of rows to their being sent, so that they are sent in the order of the queue. It comes before mu.
	sending sync.Mutex
	// direct has rows that need not wait sent by who holds them, with no other goroutine between.
	direct bool

	// folding is held from the reading of a row to its setting, and while a row of somebody else's is met. Who holds it
	// may wait for room, so no promise takes it. It comes before mu, and mu before the store's.
	folding sync.Mutex

	mu      sync.Mutex // guards what follows
	wake    *sync.Cond // queue, outputs or closed changed
	outputs prefix     // by sequence number
	queue   []*held    // rows that wait, in the order of their needs
	waiting map[string]*held
	open    map[int64]func(error) // done of outputs that no row follows, by sequence number, until acknowledged
	sent    map[*held]bool        // rows handed to the client and not acknowledged
	next    int64                 // the changelog offset that our next record gets, if nobody else writes
	input   prefix                // delivered messages, by offset
	at      int64                 // LogAppendTime of the last message that came
	halted  int64                 // no message from this offset on is ever done; noOffset for none
	err     error                 // why the worker takes no more rows
	closed  bool

	// foreign is told of changelog records [from, to) that this instance did not write. The store stays pinned
	// until the callee unpins it.
	foreign     func(l *worker, from, to int64)
	mostApplied int // maxTaken; the simulation makes it small
	flaws       flaws
	recovery
}

// maxQueue bounds the rows that wait, so that a log that is slow to take them slows the partition down.
const maxQueue = 10_000

// maxApplied bounds the header taken of a row that replaces others. A row that would get more is sent behind the one
// that waits.
const maxApplied = 256 << 10

func newWorker(partition int32, store *Store) *worker {
	l := &worker{
		partition: partition, store: store, waiting: map[string]*held{}, open: map[int64]func(error){}, sent: map[*held]bool{},
		halted: noOffset, mostApplied: maxApplied,
	}
	l.wake = sync.NewCond(&l.mu)
	l.recovery.init()
	return l
}

// deliver notes that a message has come, before anything is done about it. It reports false when nothing may be
// done: the worker has halted at an earlier message, which a row that took in this one would seem to have taken in too.
func (l *worker) deliver(offset, at int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.input.begin(offset)
	if l.halted != noOffset {
		return false
	}
	l.at = at
	return true
}

// reached returns the LogAppendTime of the message that the worker is at: the last that came, or the one that it has halted at.
// It is 0 while all that came is done.
func (l *worker) reached() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.input.end() == l.input.next {
		return 0
	}
	return l.at
}

// hasHalted reports whether the worker takes no message any more.
func (l *worker) hasHalted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.halted != noOffset
}

// done notes that all effects of a message are acknowledged. It returns the offset to mark, that of the first
// message of which this is not yet known, and whether any message is below it.
func (l *worker) done(offset int64) (end int64, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.halted == noOffset || offset < l.halted {
		l.input.finish(offset)
	}
	if l.flaws.markEarly {
		return offset + 1, true
	}
	return l.input.end(), l.input.next > 0
}

// halt keeps a message, and all after it, from ever being done here, whatever goka thinks of it: during a
// shutdown goka commits what has failed.
func (l *worker) halt(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.halted == noOffset {
		l.halted = offset
	}
}

// resume ends a halt at a message, which is done next.
func (l *worker) resume(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.halted == offset {
		l.halted = noOffset
	}
}

// emit notes an output that is about to be sent and returns its sequence number. done is told when the output is
// acknowledged, or why it is not; it is nil where a row follows, whose acknowledgement says so too.
func (l *worker) emit(done func(error)) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	seq := l.outputs.next
	l.outputs.begin(seq)
	if done != nil {
		l.open[seq] = done
	}
	return seq, nil
}

// emitted notes that an output is acknowledged, which may let rows go.
func (l *worker) emitted(seq int64) {
	l.mu.Lock()
	l.outputs.finish(seq)
	done := l.open[seq]
	if done != nil {
		delete(l.open, seq)
	}
	if l.ready() {
		l.wake.Broadcast()
	}
	l.mu.Unlock()
	if done != nil {
		done(nil)
	}
	if l.flaws.sendInside {
		for _, h := range l.take() {
			l.send(l, h)
		}
	}
}

// ready reports whether the first row of the queue may go. The caller holds mu.
func (l *worker) ready() bool {
	return len(l.queue) > 0 && l.queue[0].need <= l.outputs.end()
}

// hold queues a row behind the outputs emitted so far. A row of the same key that still waits is replaced: the
// newer one's acknowledgement counts for both, and so does what went into it. It blocks while too many wait.
func (l *worker) hold(h *held) error {
	l.mu.Lock()
	for len(l.queue) >= maxQueue && l.err == nil {
		l.wake.Wait()
	}
	if l.err == nil && l.idle() && l.sending.TryLock() {
		defer l.sending.Unlock()
		l.sent[h] = true
		l.mu.Unlock()
		l.send(l, h)
		return nil
	}
	err := l.enqueue(h)
	ready := l.ready()
	if ready && !l.direct {
		l.wake.Broadcast()
	}
	l.mu.Unlock()
	if ready && l.direct {
		l.sendReady()
	}
	return err
}

// idle reports whether a row that is held now would be the first of the queue and might go at once, by who holds it. The
// caller holds mu.
func (l *worker) idle() bool {
	return l.direct && len(l.queue) == 0 && l.outputs.end() == l.outputs.next
}

// enqueue is hold without waiting for room. The caller holds mu.
func (l *worker) enqueue(h *held) error {
	if l.err != nil {
		return l.err
	}
	if old := l.waiting[h.key]; old != nil && len(old.taken)+len(h.taken) <= l.mostApplied {
		old.by = h
		h.done, old.done = append(old.done, h.done...), nil
		h.taken = append(old.taken, h.taken...)
	}
	h.need = l.outputs.next
	if l.flaws.sendEarly {
		h.need = 0
	}
	l.waiting[h.key] = h
	l.queue = append(l.queue, h)
	return nil
}

// run sends rows as their outputs are acknowledged, until the worker is closed.
func (l *worker) run() {
	for l.await() {
		l.sendReady()
	}
}

// sendReady sends the rows that may go.
func (l *worker) sendReady() {
	l.sending.Lock()
	defer l.sending.Unlock()
	for _, h := range l.take() {
		l.send(l, h)
	}
}

// await waits for rows that may go. It reports false once the worker is closed.
func (l *worker) await() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed && !l.ready() {
		l.wake.Wait()
	}
	return !l.closed
}

// take returns the rows that may go now, in the order in which they are to be sent.
func (l *worker) take() (ready []*held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; l.ready(); l.queue = l.queue[1:] {
		if h := l.queue[0]; h.by == nil {
			if l.waiting[h.key] == h { // and not a newer one that did not take its place, for its header
				delete(l.waiting, h.key)
			}
			l.sent[h] = true
			ready = append(ready, h)
		}
	}
	l.wake.Broadcast() // there is room in the queue
	return ready
}

// acknowledged notes that the changelog has a row at offset. Our own records follow each other without a gap, so
// what lies in a gap was written by somebody else: an instance that no longer owns the partition.
func (l *worker) acknowledged(h *held, offset int64) {
	l.mu.Lock()
	from := l.next
	l.next = offset + 1
	delete(l.sent, h)
	done := h.settle(nil)
	if from < offset {
		l.store.Pin()
	}
	if h.outdated {
		l.store.Passed(offset)
	} else {
		l.store.Acknowledged(h.key, h.set, h.value, offset)
	}
	l.mu.Unlock()
	if from < offset {
		l.foreign(l, from, offset)
	}
	for _, done := range done {
		done(nil)
	}
}

// moved takes notice that the changelog ends at end though nothing of ours is on its way there.
func (l *worker) moved(end int64) {
	l.mu.Lock()
	from := l.next
	strange := l.owned && len(l.sent) == 0 && len(l.queue) == 0 && end > from
	if strange {
		l.next = end
	}
	l.mu.Unlock()
	if strange {
		l.store.Pin()
		l.foreign(l, from, end)
	}
}

// fail gives up whatever is not acknowledged, so that goka stops waiting for it. Of what was sent, nobody knows
// whether it arrived; it will be sent again, with the same origin. Of what waits, nothing is in the changelog, so
// nothing is on disk.
func (l *worker) fail(err error) {
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	queue, open, sent := l.queue, l.open, l.sent
	l.queue, l.waiting = nil, map[string]*held{}
	l.open, l.sent = map[int64]func(error){}, map[*held]bool{}
	l.wake.Broadcast()
	l.mu.Unlock()
	for _, done := range open {
		done(err)
	}
	for h := range sent {
		l.resolve(h, err)
	}
	for _, h := range queue {
		l.resolve(h, err) // those that were replaced have nobody to tell
	}
}

// over reports whether the worker takes no more rows.
func (l *worker) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// close ends the worker's goroutine.
func (l *worker) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.wake.Broadcast()
}
