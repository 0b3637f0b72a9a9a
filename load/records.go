package load

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRecord is how many bytes a row of CSV may have, those of all its lines together.
const maxRecord = 64 << 10

// record is a row of CSV.
type record struct {
	line    int64 // where it begins
	end     int64 // where in the file the next begins
	cells   []string
	problem string // why it can't be read; its cells are then its one line as it is
}

// records reads CSV row by row. encoding/csv alone would let one quote that is never closed take in the rest of the
// file, and all of the memory; here it spoils its own line, and the next line is read as if nothing had been.
type records struct {
	lines     *lines
	separator rune
}

func newRecords(from io.Reader, separator rune) *records {
	return &records{newLines(from, maxRecord), separator}
}

// next returns the next row, and io.EOF behind the last. Lines that are empty are none.
func (r *records) next() (record, error) {
	for {
		first, err := r.lines.next()
		if err != nil {
			return record{}, err
		}
		text := trimEnd(first.text)
		switch {
		case first.cut:
			return unreadable(first, fmt.Sprintf("the line is longer than %d bytes", maxRecord)), nil
		case len(text) == 0:
		case bytes.IndexByte(text, '"') < 0:
			return record{first.number, first.end, strings.Split(string(text), string(r.separator)), ""}, nil
		default:
			return r.quoted(first)
		}
	}
}

func trimEnd(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

func unreadable(line textLine, problem string) record {
	return record{line.number, line.end, []string{string(trimEnd(line.text))}, problem}
}

// quoted reads a row with quotes, which may go over several lines: until their number is even.
func (r *records) quoted(first textLine) (record, error) {
	text, last := bytes.Clone(first.text), first
	var ahead []textLine
	for odd := isOdd(first.text); odd; odd = odd != isOdd(last.text) {
		line, err := r.lines.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return record{}, err
		}
		if err == nil {
			ahead = append(ahead, line)
		}
		if err != nil || line.cut || len(text)+len(line.text) > maxRecord {
			r.lines.giveBack(ahead)
			return unreadable(first, "a quote is opened and not closed"), nil
		}
		text, last = append(text, line.text...), line
	}
	cells, problem := parseRecord(text, r.separator)
	if problem != "" {
		r.lines.giveBack(ahead)
		return unreadable(first, problem), nil
	}
	return record{first.number, last.end, cells, ""}, nil
}

// isOdd reports whether a quote is open behind a line, if none is before it.
func isOdd(line []byte) bool { return bytes.Count(line, []byte{'"'})%2 == 1 }

// parseRecord reads a text that should be one row.
func parseRecord(text []byte, separator rune) (cells []string, problem string) {
	reader := csv.NewReader(bytes.NewReader(text))
	reader.Comma = separator
	cells, err := reader.Read()
	if err == nil {
		if _, more := reader.Read(); !errors.Is(more, io.EOF) {
			return nil, "a quote stands where none may"
		}
		return cells, ""
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		err = parse.Err
	}
	return nil, err.Error()
}
