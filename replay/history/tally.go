package history

import (
	"encoding/binary"
	"errors"

	"github.com/syndtr/goleveldb/leveldb"
)

// tally is how many messages of a key the annals have. It is written with each batch that has one more.
type tally struct {
	key     string
	all     uint64
	since   uint64 // those behind its last snapshot
	touched bool   // the batch that is made has a message of the key
}

var errTally = errors.New("a count of the annals does not decode")

func (t *tally) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, t.all), t.since)
}

func (t *tally) read(b []byte) error {
	all, n := binary.Uvarint(b)
	since, m := binary.Uvarint(b[max(n, 0):])
	if n <= 0 || m <= 0 {
		return errTally
	}
	t.all, t.since = all, since
	return nil
}

// tally returns that of a key, nil if the key concerns no row that is written down here. It is what the disk says and the
// batch that is made adds; who can't write that batch has to open the annals again.
func (a *partitionHistory) tally(key string) (*tally, error) {
	if t := a.tallies.get(key); t != nil {
		return t, nil
	}
	if a.only != "" && key != a.only || !a.checkKey(key) {
		return nil, nil
	}
	t, w := &tally{key: key}, a.writing
	w.name = appendTallyName(w.name[:0], key)
	text, err := a.db.Get(w.name, nil)
	if err == nil {
		err = t.read(text)
	}
	if err != nil && !errors.Is(err, leveldb.ErrNotFound) {
		return nil, err
	}
	a.tallies.add(t)
	return t, nil
}

// tallies remember the keys that came last: at least so many as rememberedKeys, at most twice as many.
type tallies struct{ young, old map[string]*tally }

// rememberedKeys is more than a batch can have, which must not find a key forgotten that it has changed.
const rememberedKeys = 2 * batchRecords

// get returns what is remembered of a key, nil for nothing.
func (c *tallies) get(key string) *tally {
	t := c.young[key]
	if t == nil {
		if t = c.old[key]; t != nil {
			c.add(t)
		}
	}
	return t
}

func (c *tallies) add(t *tally) {
	if c.young == nil || len(c.young) == rememberedKeys {
		c.young, c.old = make(map[string]*tally), c.young
	}
	c.young[t.key] = t
}
