package load

import (
	"bufio"
	"errors"
	"io"
)

// textLine is a line of a file, with its end.
type textLine struct {
	number int64 // 1 for the first
	end    int64 // where in the file the next begins
	text   []byte
	cut    bool // it is longer than may be; text is its beginning
}

// lines reads a file line by line, and holds no more than one of bounded length. Those that were read too far can be
// given back.
type lines struct {
	from   *bufio.Reader
	most   int        // bytes of a line
	back   []textLine // given back, the next one last
	number int64
	end    int64
}

const byteOrderMark = "\uFEFF"

func newLines(from io.Reader, most int) *lines {
	l := &lines{from: bufio.NewReaderSize(from, 64<<10), most: most}
	if start, _ := l.from.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		n, _ := l.from.Discard(len(byteOrderMark)) // they have been peeked at
		l.end = int64(n)
	}
	return l
}

// next returns the next line, and io.EOF behind the last.
func (l *lines) next() (textLine, error) {
	if n := len(l.back); n > 0 {
		line := l.back[n-1]
		l.back = l.back[:n-1]
		return line, nil
	}
	l.number++
	line := textLine{number: l.number}
	for {
		piece, err := l.from.ReadSlice('\n')
		l.end += int64(len(piece))
		if room := l.most - len(line.text); len(piece) > room {
			piece, line.cut = piece[:room], true
		}
		line.text = append(line.text, piece...)
		line.end = l.end
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (len(line.text) > 0 || line.cut):
			return line, nil // the last one has no line break
		default:
			return line, err
		}
	}
}

// giveBack makes lines the next ones again.
func (l *lines) giveBack(ahead []textLine) {
	for i := len(ahead) - 1; i >= 0; i-- {
		l.back = append(l.back, ahead[i])
	}
}
