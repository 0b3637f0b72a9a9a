package load

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// window is how many entries may be under way or settled, and not yet in the progress file. After a crash they are sent
// again. A SKU remembers its last hundred movements; with 64 of ours, there is room for those of others.
const window = 64

// savedEvery is the longest that entries which are settled wait for the progress file while others follow.
const savedEvery = time.Second

// loading is a run.
type loading struct {
	options Options
	source  source
	sender  *sender
	rejects *rejects
	skip    int64 // entries that were settled by runs before this one
	from    int64 // the line of the last of them
	began   time.Time

	mu   sync.Mutex // guards what follows; run alone writes it
	done progress
}

func newLoading(ctx context.Context, o Options, file *os.File, p progress) (*loading, error) {
	l := &loading{options: o, sender: newSender(o), skip: p.Entries, from: p.Line, done: p, began: time.Now()}
	if err := l.sender.reach(ctx); err != nil {
		return nil, err
	}
	k := keys{p.Fingerprint, o.Batch, o.Kind}
	if o.format() == NDJSON {
		l.source = newObjects(file, o.Kind, k)
	} else {
		s, err := openSheet(file, o)
		if err != nil {
			return nil, err
		}
		l.source = &orderSheet{sheet: s, keys: k}
		if o.Kind == Stock {
			l.source = &stockSheet{s, k}
		}
	}
	// The progress file is written before the first row is sent: a directory that can't be written to is told of now. It
	// comes before the rejects file, whose content it would otherwise be wrong about.
	if err := p.save(o.progress()); err != nil {
		return nil, err
	}
	var err error
	l.rejects, err = openRejects(o.rejects(), p.Rejects, l.source.header())
	return l, err
}

// run loads what is left of the file. All that it started has ended when it returns, and what was settled is saved.
func (l *loading) run(ctx context.Context, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	line := make(chan *entry, l.window()) // in the order of the file
	work := make(chan *entry)
	places := make(chan struct{}, l.window())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.read(ctx, line, work, places); err != nil {
			cancel(err)
		}
	})
	for range l.options.Concurrency {
		running.Go(func() {
			for e := range work {
				o, err := l.sender.send(ctx, e)
				if err != nil {
					cancel(err)
					return
				}
				e.settled <- o
			}
		})
	}
	stopShowing := l.show(size)
	err := l.settle(ctx, line, places)
	cancel(err)
	running.Wait()
	stopShowing()
	l.sender.close()
	return errors.Join(err, l.save(), l.rejects.close())
}

// window leaves every worker something to do while half of it waits to be saved.
func (l *loading) window() int { return max(window, 2*l.options.Concurrency) }

// read hands out the entries that are not settled yet: to those who send, and in line to the one who settles. It waits
// for a place for each. At the end of the file it closes both, and when it fails or ctx ends only work: then what is in
// line is never settled.
func (l *loading) read(ctx context.Context, line, work chan<- *entry, places chan<- struct{}) error {
	defer close(work)
	for n := int64(1); ; n++ {
		e, err := l.source.next()
		if errors.Is(err, io.EOF) {
			close(line)
			return nil
		}
		if err != nil {
			return err
		}
		if n <= l.skip {
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		e.settled = make(chan outcome, 1)
		line <- e // has as much room as there are places
		if e.isBad() {
			e.settled <- outcome{bad: true}
			continue
		}
		select {
		case work <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle takes note of what became of the entries, in the order of the file, and saves that from time to time.
func (l *loading) settle(ctx context.Context, line <-chan *entry, places <-chan struct{}) error {
	unsaved, saved := 0, time.Now()
	for {
		e, more, err := receive(ctx, line)
		if err != nil {
			return err
		}
		if !more {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.done.Done = true
			return nil
		}
		o, _, err := receive(ctx, e.settled)
		if err != nil {
			return err
		}
		if err := l.note(e, o); err != nil {
			return err
		}
		if unsaved++; unsaved < l.window()/2 && time.Since(saved) < savedEvery {
			continue
		}
		if err := l.save(); err != nil {
			return err
		}
		for ; unsaved > 0; unsaved-- {
			<-places
		}
		saved = time.Now()
	}
}

// receive waits for a value until ctx ends. One that is there by then is not left behind: what Stockflow has answered is
// taken note of, also when the run stops.
func receive[T any](ctx context.Context, from <-chan T) (value T, more bool, err error) {
	select {
	case value, more = <-from:
		return value, more, nil
	case <-ctx.Done():
	}
	select {
	case value, more = <-from:
		return value, more, nil
	default:
		return value, false, context.Cause(ctx)
	}
}

// note takes note of what became of one entry.
func (l *loading) note(e *entry, o outcome) error {
	if reason := cmp.Or(o.refused, o.undecided); reason != "" {
		for i := range e.rows {
			e.rows[i].add("", reason)
		}
	}
	if err := l.rejects.add(e.rows); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done.Entries++
	l.done.Offset, l.done.Line = e.end, e.last()
	l.done.Counts.add(e, o)
	return nil
}

// save writes down what is settled: the rejects first, so that the progress file never speaks of rows that are not there.
func (l *loading) save() error {
	if err := l.rejects.sync(); err != nil {
		return err
	}
	l.mu.Lock()
	l.done.Rejects = l.rejects.size
	p := l.done
	l.mu.Unlock()
	return p.save(l.options.progress())
}

func (l *loading) snapshot() progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

func (l *loading) summary() Summary {
	s := l.snapshot().summary(l.options)
	s.From, s.Seconds = l.from, time.Since(l.began).Seconds()
	return s
}
