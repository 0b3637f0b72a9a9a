package powercut

// Kind says what an operation does.
type Kind string

// The kinds of operations. The first ones change something; they are those that the power is cut at.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Rename   Kind = "rename"
	Remove   Kind = "remove"
	Mkdir    Kind = "mkdir"
	SyncDir  Kind = "syncdir"

	Open Kind = "open" // of a file that exists, and isn't truncated by it
	Read Kind = "read"
	Look Kind = "look" // at a directory, or at what is known of a name
)

// Changes says whether operations of this kind change something.
func (k Kind) Changes() bool { return k != Open && k != Read && k != Look }

// Operation is one call of the file system.
type Operation struct {
	Number int // among those that change something, or among those that don't, from 0
	Kind   Kind
	Name   string // of the file as it was opened, or of the directory
	Offset int64
	Length int
	DSync  bool // a write that is a sync too
}

// Fault is what goes wrong with an operation. The zero value is nothing.
type Fault struct {
	// Err is returned. Nothing was done then, but for what Bytes says; a sync has left everything to the next one.
	Err error
	// Bytes of a write that fails are written, and not on the disk.
	Bytes int
	// Forget makes a sync that fails, or a write with DSync, do as Linux does: what should have been synced may be on the disk
	// or not, is seen by reads, and is no business of the next sync, which succeeds.
	Forget bool
	// Unsynced carries the operation out, all of it, but puts nothing on the disk, and returns Err. That is what becomes of an
	// operation when the power goes; without Err it is a sync that lies.
	Unsynced bool
	// Until lets the operation wait for what is to go wrong with it: what comes from the channel, nothing if it is closed. If
	// the power goes before, that is all. Other operations go on meanwhile.
	Until <-chan Fault
}

// refusal is what is returned before anything is done, nil if something is.
func (f Fault) refusal() error {
	if f.Unsynced {
		return nil
	}
	return f.Err
}

// Inject asks fault before each operation what is to go wrong with it; nil for nothing. The function is called for one
// operation at a time, and must not use the disk.
func (d *Disk) Inject(fault func(Operation) Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fault
}

// Observe calls f with each operation before it is done, under the same conditions as Inject.
func (d *Disk) Observe(f func(Operation)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.observer = f
}

// Once returns a function for [Disk.Inject] that lets one change fail, the one with number n.
func Once(n int, f Fault) func(Operation) Fault {
	return func(op Operation) Fault {
		if op.Kind.Changes() && op.Number == n {
			return f
		}
		return Fault{}
	}
}

// begin counts an operation, waits if it has to, and takes d.mu until done is called.
func (d *Disk) begin(op Operation) (f Fault, done func(), err error) {
	d.mu.Lock()
	cut, f := d.register(op)
	if f.Until != nil {
		d.mu.Unlock()
		select {
		case f = <-f.Until:
		case <-d.gone:
		}
		d.mu.Lock()
	}
	if d.off {
		d.mu.Unlock()
		return Fault{}, nil, ErrOff
	}
	if cut {
		return Fault{Err: ErrOff, Unsynced: true}, func() { d.switchOff(); d.mu.Unlock() }, nil
	}
	return f, d.mu.Unlock, nil
}

// register counts an operation and says what becomes of it.
func (d *Disk) register(op Operation) (cut bool, f Fault) {
	if d.off {
		return false, Fault{}
	}
	count := &d.reads
	if op.Kind.Changes() {
		count = &d.changes
		cut = d.cutAt == *count
	}
	op.Number = *count
	*count++
	if d.observer != nil {
		d.observer(op)
	}
	if d.fault != nil && !cut {
		f = d.fault(op)
	}
	return cut, f
}
