package mail

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"stockflow/codecs"
	"stockflow/journal/files"
	"stockflow/machines/notification"
)

// posted is a letter as a mail program reads it.
type posted struct {
	header     mail.Header
	text, html string
}

func post(t *testing.T, l Email) posted {
	t.Helper()
	var raw bytes.Buffer
	if _, err := l.compose().WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(&raw)
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatal(kind, err)
	}
	p := posted{header: m.Header}
	for parts := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return p
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			p.html = string(body)
		} else {
			p.text = string(body)
		}
	}
}

func write1(t *testing.T, orderID string, m notification.Mail) Email {
	t.Helper()
	l, err := newWriter(t).Write(orderID, m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Each kind says what it has to, in text and in HTML.
func TestEachKindSaysWhatItHasTo(t *testing.T) {
	for kind, want := range map[notification.Kind][]string{
		notification.Confirmed:   {"o-1", "confirmed", "Hello Ada,", "2 × lamp", "and 3 more"},
		notification.Backordered: {"o-1", "wait", "Hello Ada,", "2 × lamp"},
		notification.Rejected:    {"o-1", "not everything", "Hello Ada,", "1 × table"},
		notification.Shipped:     {"o-1", "on its way", "Hello Ada,", "DHL", "X1", "of which 1 for you"},
		notification.Delivered:   {"o-1", "delivered", "Hello Ada,"},
		notification.Cancelled:   {"o-1", "cancelled", "Hello Ada,"},
	} {
		p := post(t, write1(t, "o-1", samples(kind)[1]))
		all := p.header.Get("Subject") + p.html
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("the HTML of %s lacks %q:\n%s", kind, w, p.html)
			}
			if w = strings.ReplaceAll(w, "×", "x"); !strings.Contains(p.header.Get("Subject")+p.text, w) {
				t.Errorf("the text of %s lacks %q:\n%s", kind, w, p.text)
			}
		}
	}
}

// What goes into headers stays in its header, and what goes into HTML is no HTML.
func TestNamesInjectNothing(t *testing.T) {
	for _, name := range []string{
		"Eve\r\nBcc: all@example.org", "Eve\nSubject: gift", "Eve\x00", `"Eve" <eve@example.org>, x`, `Eve" <b@example.org>`,
		"=?utf-8?q?Eve=0ABcc:_a@example.org?=", "Zoë 渡辺 🙂", "<script>alert(1)</script>", strings.Repeat("E ", 100),
	} {
		m := samples(notification.Shipped)[1]
		m.Name, m.Carrier = name, name
		p := post(t, write1(t, "o-1 "+strings.Map(printable, name), m))
		to, err := p.header.AddressList("To")
		if err != nil || len(to) != 1 || to[0].Address != "ada@example.org" {
			t.Errorf("%q: it goes to %v, %v", name, to, err)
		}
		if len(p.header) != 8 || p.header.Get("Bcc") != "" || len(p.header["Subject"]) != 1 {
			t.Errorf("%q: the headers are %v", name, p.header)
		}
		if strings.Contains(p.html, "<script") || strings.Contains(p.html, "<eve@") {
			t.Errorf("%q: the HTML is %s", name, p.html)
		}
	}
	// The log doesn't even let them in.
	for _, field := range []string{"name", "email", "reason", "carrier", "tracking_number"} {
		value := fmt.Sprintf(`{"notify":{"kind":1,%q:"Eve\r\nBcc: a@example.org"}}`, field)
		if _, err := codecs.DecodeNotificationEvent([]byte(value)); err == nil || !strings.Contains(err.Error(), field+": must not contain the character U+000D") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func printable(r rune) rune {
	if r < ' ' || r == '/' {
		return '.'
	}
	return r
}

func TestEqualRowsAreEqualLetters(t *testing.T) {
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if _, err := write1(t, "o-1", samples(notification.Shipped)[1]).compose().WriteTo(b); err != nil {
			t.Fatal(err)
		}
	}
	if first.String() != second.String() {
		t.Errorf("one is\n%s\nthe other\n%s", &first, &second)
	}
}

func TestATemplateOfTheUserTakesItsPlace(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "shipped.txt", "Subject: Unterwegs: {{.OrderID}}\n\nHallo {{.Name}}\n{{template \"lines.txt\" .}}")
	put(t, dir, "lines.html", "<p>{{len .Lines}} Zeilen, {{.Name}}</p>")
	put(t, dir, "README", "not a template")
	w, err := NewWriter("shop@example.org", dir)
	if err != nil {
		t.Fatal(err)
	}
	m := samples(notification.Shipped)[1]
	m.Name = "<b>"
	l, err := w.Write("o-1", m)
	if err != nil {
		t.Fatal(err)
	}
	if l.Subject != "Unterwegs: o-1" || !strings.HasPrefix(l.Text, "Hallo <b>\n  2 x lamp") || !strings.Contains(l.HTML, "<p>2 Zeilen, &lt;b&gt;</p>") {
		t.Errorf("the letter is %+v", l)
	}
}

// A template that can't be used is refused by file and line, before there is an e-mail for it.
func TestABrokenTemplateIsNamed(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"shipped.txt", "Subject: x\n\n{{if}}", "shipped.txt:3"},
		{"shipped.txt", "Subject: x\n\n{{.Price}}", "shipped.txt:3"},
		{"shipped.txt", "Hello\n", "shipped.txt:1"},
		{"shipped.txt", "Subject: \nHello", "shipped.txt:1"},
		{"shipped.txt", "Subject: x", "shipped.txt:1"},
		{"shipped.txt", "Subject: x\n{{index .Lines 1}}", "shipped.txt:2"},
		{"shipped.txt", "Subject: x\n{{template \"nothing.txt\" .}}", "nothing.txt"},
		{"cancelled.html", "<p>\n<a href='{{.Name}}\n", "cancelled.html"},
		{"lines.html", "{{range .Lines}}\n{{.Price}}{{end}}", "lines.html:2"},
		{"shiped.txt", "Subject: x\n", "shiped.txt: no template has this name"},
	} {
		dir := t.TempDir()
		put(t, dir, c.file, c.text)
		if _, err := NewWriter("shop@example.org", dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q: %v", c.file, c.text, err)
		}
	}
	if _, err := NewWriter("shop@example.org", filepath.Join(t.TempDir(), "nowhere")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFileNamesAreGoodForAnyDisk(t *testing.T) {
	for id, want := range map[string]string{
		"o-1": "o-1.confirmed.eml", "..": "%2E..confirmed.eml", "a b": "a%20b.confirmed.eml", "Ä": "%C3%84.confirmed.eml",
		`a\b:c`: "a%5Cb%3Ac.confirmed.eml", "a%20b": "a%2520b.confirmed.eml",
	} {
		if got := fileName(id, notification.Confirmed); got != want {
			t.Errorf("%q is called %s, expected %s", id, got, want)
		}
	}
	wide := strings.Repeat("渡", 63)
	one, other := fileName(wide+"a", notification.Backordered), fileName(wide+"b", notification.Backordered)
	if one == other || len(one) > 255 || len(other) > 255 {
		t.Errorf("%s and %s", one, other)
	}
}

func TestReasonsAreOneShortLine(t *testing.T) {
	for reason, want := range map[string]string{
		"554 no\r\n such\x00 box": "554 no such box", "\xff": "?",
		strings.Repeat("渡", 301): strings.Repeat("渡", 297) + "...",
	} {
		got := refuse(reason).Reason
		if got != want || !utf8.ValidString(got) {
			t.Errorf("%q becomes %q", reason, got)
		}
	}
}

// A file is there in whole, and one that a crash has left behind is written over.
func TestAFolderKeepsWholeLetters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "outbox")
	folder, err := NewFolder(files.OS(), dir)
	if err != nil {
		t.Fatal(err)
	}
	l := sample(t, "ada@example.org")
	put(t, dir, l.File+".new", strings.Repeat("half a letter", 1000))
	if err := folder.Send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatal(entries, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bytes.NewReader(text))
	if err != nil || m.Header.Get("Message-ID") != "<"+l.ID+">" || strings.Contains(string(text), "half") {
		t.Errorf("the file is %s, %v", text, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := folder.Send(t.Context(), l); err == nil {
		t.Error("a letter was put into a directory that is gone")
	}
}

// syncing tells of the names that are put on the disk, and fails when it is told to.
type syncing struct {
	files.FS
	synced []string
	broken error
}

func (s *syncing) SyncDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		s.synced = append(s.synced, filepath.Join(dir, e.Name()))
	}
	return errors.Join(err, s.broken)
}

// TestALetterIsOnTheDiskBeforeItIsSent: its name too, and that of each directory that was made for it.
func TestALetterIsOnTheDiskBeforeItIsSent(t *testing.T) {
	top := t.TempDir()
	disk := &syncing{FS: files.OS()}
	dir := filepath.Join(top, "mail", "out")
	folder, err := NewFolder(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	l := sample(t, "ada@example.org")
	if err := folder.Send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{filepath.Join(top, "mail"), dir, filepath.Join(dir, l.File)} {
		if !slices.Contains(disk.synced, want) {
			t.Errorf("on the disk are the names %q, and not %q", disk.synced, want)
		}
	}
	disk.broken = errors.New("the disk is gone")
	if err := folder.Send(t.Context(), l); !errors.Is(err, disk.broken) {
		t.Errorf("a letter whose name is not on the disk was sent: %v", err)
	}
}
