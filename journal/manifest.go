package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"

	"stockflow/journal/files"
)

// manifest says which files count. It is replaced as a whole.
type manifest struct {
	Format     int    `json:"format"`
	Journal    string `json:"journal"` // the id, in hexadecimal
	Deployment string `json:"deployment"`
	FirstTail  uint64 `json:"first_tail"` // the tail files from this number on count

	Sealed     []sealedEntry    `json:"sealed,omitempty"`     // all that count; offsets of each partition rise from file to file
	Tombstones map[uint32]int64 `json:"tombstones,omitempty"` // the highest offset of one that compaction took away, by partition
	Restored   bool             `json:"restored,omitempty"`   // from a backup, and the original may still be running
	Backup     bool             `json:"backup,omitempty"`     // it is one, and was never opened for writing
}

const manifestFormat = 1

func manifestName(dir string) string { return filepath.Join(dir, "MANIFEST") }

// newManifest is that of a new journal.
func newManifest() (manifest, error) {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return manifest{}, err
	}
	return manifest{Format: manifestFormat, Journal: hex.EncodeToString(id[:]), Deployment: rand.Text(), FirstTail: 1}, nil
}

func (m manifest) id() (id [16]byte, err error) {
	b, err := hex.DecodeString(m.Journal)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("the manifest's journal id %q isn't one", m.Journal)
	}
	return [16]byte(b), nil
}

// write makes the manifest durable in a directory. It is JSON in one line, and its CRC-32C in another.
func (m manifest) write(fsys files.FS, dir string) error {
	return m.writeFile(fsys, manifestName(dir))
}

func (m manifest) writeFile(fsys files.FS, name string) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b = append(b, '\n')
	b = fmt.Appendf(b, "%08x\n", crc32.Checksum(b, castagnoli))
	return files.Replace(fsys, name, b)
}

// readManifest returns the manifest of a directory. If there is none the error is fs.ErrNotExist, if it isn't whole a
// DamageError.
func readManifest(fsys files.FS, dir string) (m manifest, err error) {
	return readManifestFile(fsys, manifestName(dir))
}

func readManifestFile(fsys files.FS, name string) (m manifest, err error) {
	b, err := files.ReadFile(fsys, name)
	if err != nil {
		return m, err
	}
	end := bytes.IndexByte(b, '\n') + 1
	if string(b[end:]) != fmt.Sprintf("%08x\n", crc32.Checksum(b[:end], castagnoli)) {
		return m, &DamageError{File: name, What: "its checksum is wrong"}
	}
	if err := json.Unmarshal(b[:end], &m); err != nil {
		return m, fmt.Errorf("read %s: %w", name, err)
	}
	if m.Format != manifestFormat {
		return m, fmt.Errorf("%s has format %d, this program knows %d", name, m.Format, manifestFormat)
	}
	return m, nil
}

// changeManifest makes a change of the manifest durable. After an error nobody knows which one the disk has, until a later
// change has gone well. So what either of them names has to stay until then.
func (j *Journal) changeManifest(change func(*manifest)) error {
	j.manifestMu.Lock()
	defer j.manifestMu.Unlock()
	m := j.manifest
	change(&m)
	if err := m.write(j.options.Files, j.dir); err != nil {
		return err
	}
	j.manifest = m
	return nil
}

// tombstonesGone remembers up to where compaction has taken tombstones away.
func (m *manifest) tombstonesGone(offsets map[uint32]int64) {
	if len(offsets) == 0 {
		return
	}
	m.Tombstones = maps.Clone(m.Tombstones)
	if m.Tombstones == nil {
		m.Tombstones = make(map[uint32]int64)
	}
	for partition, offset := range offsets {
		m.Tombstones[partition] = max(m.Tombstones[partition], offset)
	}
}
