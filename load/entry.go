package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// entry is what a file has to say at one place: a request, or rows that none can be made of.
type entry struct {
	rows    []fileRow
	end     int64 // where in the file it ends
	path    string
	key     string // Idempotency-Key, "" for an order that has an id
	body    []byte
	settled chan outcome // gets one outcome, and has room for it
}

// last is the line on which an entry ends, or the last one on which a row of it begins.
func (e *entry) last() int64 { return e.rows[len(e.rows)-1].line }

// isBad reports whether something is wrong with a row; then nothing is sent.
func (e *entry) isBad() bool {
	for _, r := range e.rows {
		if r.reason != "" {
			return true
		}
	}
	return false
}

// fileRow is a row of the file, and what is wrong with it.
type fileRow struct {
	line   int64
	cells  []string
	reason string
}

// add adds to the reasons why a row is bad. field may be "".
func (f *fileRow) add(field, problem string) {
	if f.reason != "" {
		f.reason += "; "
	}
	if field != "" {
		f.reason += field + ": "
	}
	f.reason += problem
}

// source makes entries of a file, in its order. next returns io.EOF behind the last.
type source interface {
	next() (*entry, error)
	header() []string // of what stands in the cells of rows
}

// keys makes Idempotency-Keys for what has no id: from what the file is, and where in it the row stands. So the same row
// of the same file has the same key in every run, and no row of another file has.
type keys struct{ fingerprint, batch, kind string }

func (k keys) at(line int64) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"stockflow load", k.fingerprint, k.kind, k.batch, strconv.FormatInt(line, 10)}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// seenMost is how many order ids are remembered at least: twice as many at most, some 60 MiB.
const seenMost = 500_000

// seen remembers which order ids came, and on which line. Of a file with more orders than it can remember, those that
// came long ago are forgotten; should one of them come again, Stockflow itself refuses it, as it has other content.
type seen struct {
	most          int // seenMost if 0
	recent, older map[[16]byte]int64
}

// before notes that an order begins on a line, and returns the line on which one of the same id began, 0 if none did.
func (s *seen) before(id string, line int64) int64 {
	sum := sha256.Sum256([]byte(id))
	short := [16]byte(sum[:])
	if at, ok := s.recent[short]; ok {
		return at
	}
	if at, ok := s.older[short]; ok {
		return at
	}
	if s.most == 0 {
		s.most = seenMost
	}
	if s.recent == nil || len(s.recent) == s.most {
		s.older, s.recent = s.recent, map[[16]byte]int64{}
	}
	s.recent[short] = line
	return 0
}

// cameBefore is the reason for rows of an order that is elsewhere in the file.
func cameBefore(id string, line int64) string {
	return fmt.Sprintf("%s came before, on line %d; the rows of one order must follow each other", shown(id), line)
}

// shown is a text as a reason shows it.
func shown(text string) string {
	const most = 64
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return strconv.Quote(text)
}

// marshal writes a body. What is written consists of strings and numbers, so it can be.
func marshal(v any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// wholeNumber reads a quantity; a blank around it is nothing.
func wholeNumber(text string) (n int64, problem string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, "is missing"
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, "must be a whole number, is " + shown(text)
	}
	return n, ""
}
