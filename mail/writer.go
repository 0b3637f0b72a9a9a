package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"io/fs"
	netmail "net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"time"

	"stockflow/machines/notification"
)

//go:embed templates
var defaults embed.FS

// Writer turns a row of the outbox into a letter, by templates: for each kind KIND.txt, whose first line is the
// subject, and KIND.html; and lines.txt and lines.html, which those share. Its methods may be called at once.
type Writer struct {
	from netmail.Address
	text *texttemplate.Template
	html *htmltemplate.Template
}

// Facts is what a template can show.
type Facts struct {
	OrderID        string
	Kind           string // "confirmed" and so on
	Name           string // of the customer, may be empty
	Email          string
	Reason         string // of a rejection: "lines_refused" or "nothing_available"
	Lines          []notification.Line
	More           int64 // how many lines there are besides Lines
	Carrier        string
	TrackingNumber string
	Asked          time.Time // in UTC
}

// subjectMark is what the first line of every text begins with.
const subjectMark = "Subject: "

// CheckSender returns what is wrong with the address that e-mails are from, "Name <name@host>" or "name@host".
func CheckSender(from string) error {
	_, err := netmail.ParseAddress(from)
	return err
}

// NewWriter returns a writer of letters from that address, "Name <name@host>" or "name@host". Templates in dir take the
// place of those that are built in; dir may be "". Every template is tried on samples: the error names file and line.
func NewWriter(from, dir string) (*Writer, error) {
	address, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, err
	}
	sources, err := readTemplates(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{from: *address, text: texttemplate.New(""), html: htmltemplate.New("")}
	for name, source := range sources {
		if filepath.Ext(name) == ".txt" {
			_, err = w.text.New(name).Parse(source)
		} else {
			_, err = w.html.New(name).Parse(source)
		}
		if err != nil {
			return nil, err
		}
	}
	return w, w.rehearse()
}

// readTemplates returns the templates by name.
func readTemplates(dir string) (map[string]string, error) {
	sources := map[string]string{}
	builtIn, err := fs.Glob(defaults, "templates/*")
	if err != nil {
		return nil, err
	}
	for _, name := range builtIn {
		source, err := defaults.ReadFile(name)
		if err != nil {
			return nil, err
		}
		sources[filepath.Base(name)] = string(source)
	}
	if dir == "" {
		return sources, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !slices.Contains([]string{".txt", ".html"}, filepath.Ext(e.Name())) {
			continue
		}
		if _, known := sources[e.Name()]; !known {
			return nil, fmt.Errorf("%s: no template has this name; it must be a kind of e-mail or lines, with .txt or .html", filepath.Join(dir, e.Name()))
		}
		source, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sources[e.Name()] = string(source)
	}
	return sources, nil
}

// samples are rows with everything and with as little as there may be.
func samples(k notification.Kind) []notification.Mail {
	line := notification.Line{SKU: "lamp", Quantity: 2, Allocated: 1}
	return []notification.Mail{
		{Notify: notification.Notify{Kind: k, Email: "ada@example.org", Lines: []notification.Line{line}}},
		{More: 3, Notify: notification.Notify{Kind: k, Name: "Ada", Email: "ada@example.org", Reason: "lines_refused",
			Lines: []notification.Line{line, {SKU: "table", Quantity: 1}}, Carrier: "DHL", TrackingNumber: "X1"}},
	}
}

func (w *Writer) rehearse() error {
	for _, k := range notification.Kinds {
		for _, sample := range samples(k) {
			if _, err := w.Write("o-1", sample); err != nil {
				var refused *Refused
				if errors.As(err, &refused) {
					return errors.New(refused.Reason)
				}
				return err
			}
		}
	}
	return nil
}

// Write returns an order's e-mail. Its error is a *Refused: the row will be no other the next time.
func (w *Writer) Write(orderID string, m notification.Mail) (Email, error) {
	to, err := addressOf(m.Name, m.Email)
	if err != nil {
		return Email{}, err
	}
	asked := time.UnixMilli(m.Asked).UTC()
	facts := Facts{OrderID: orderID, Kind: m.Kind.String(), Name: m.Name, Email: m.Email, Reason: m.Reason,
		Lines: m.Lines, More: m.More, Carrier: m.Carrier, TrackingNumber: m.TrackingNumber, Asked: asked}
	var text, html strings.Builder
	if err := execute(w.text, &text, facts, ".txt"); err != nil {
		return Email{}, err
	}
	if err := execute(w.html, &html, facts, ".html"); err != nil {
		return Email{}, err
	}
	subject, body, ok := strings.Cut(text.String(), "\n")
	subject = strings.TrimSpace(strings.TrimPrefix(subject, subjectMark))
	if !ok || !strings.HasPrefix(text.String(), subjectMark) || subject == "" {
		return Email{}, refuse(fmt.Sprintf("template: %s.txt:1: the first line must be %q and a subject", facts.Kind, subjectMark))
	}
	return Email{
		ID: messageID(orderID, m.Kind, w.from), File: fileName(orderID, m.Kind), From: w.from, To: to, Date: asked,
		Subject: subject, Text: strings.TrimLeft(body, "\r\n"), HTML: html.String(),
	}, nil
}

// execute runs the template of a kind. The library's error begins with "template: FILE:LINE".
func execute(t interface {
	ExecuteTemplate(io.Writer, string, any) error
}, w io.Writer, f Facts, ext string) error {
	if err := t.ExecuteTemplate(w, f.Kind+ext, f); err != nil {
		return refuse(err.Error())
	}
	return nil
}
