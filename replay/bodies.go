package replay

import (
	"bufio"
	"errors"
	"fmt"
	"os"
)

// bodies are what HTTP serves, word for word. Only those of the rows that differ are ever read, so they lie one behind the
// other in a file, which costs neither memory nor the sorting that a scratch does. They are written by one goroutine, and
// read when that is done, by any number.
type bodies struct {
	file *os.File
	out  *bufio.Writer
	end  int64
}

// bodies returns a file for them. It is thrown away with the rest.
func (s *spill) bodies() (*bodies, error) {
	file, err := os.CreateTemp(s.under, "stockflow-served-")
	if err != nil {
		return nil, fmt.Errorf("making room on disk for what HTTP serves: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, file)
	return &bodies{file: file, out: bufio.NewWriterSize(file, 64<<10)}, nil
}

// put keeps a body, and returns where it begins.
func (b *bodies) put(body []byte) (at int64, err error) {
	at = b.end
	n, err := b.out.Write(body)
	b.end += int64(n)
	return at, err
}

// written must have been called before any is read.
func (b *bodies) written() error { return b.out.Flush() }

func (b *bodies) get(l listed) ([]byte, error) {
	body := make([]byte, l.size)
	_, err := b.file.ReadAt(body, l.at)
	return body, err
}

// discard closes files and removes them.
func discard(files []*os.File) (err error) {
	for _, f := range files {
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return err
}

// listed is what a comparison needs of a row that HTTP lists.
type listed struct {
	version  int64
	digest         // of the JSON
	at, size int64 // of the JSON in bodies
}

func (l listed) bytes() []byte {
	b := append(append(make([]byte, 0, 40), number(l.version)...), l.digest[:]...)
	return append(append(b, number(l.at)...), number(l.size)...)
}

// readListed reads what bytes has written.
func readListed(b []byte) (l listed) {
	l.version, l.at, l.size = numberOf(b), numberOf(b[24:]), numberOf(b[32:])
	copy(l.digest[:], b[8:])
	return l
}
