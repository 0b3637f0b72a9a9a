// Package load sends the rows of a file to a running Stockflow, over its HTTP API: a CSV file or an NDJSON file, of
// any size, with orders or with movements of stock.
//
// What it promises:
//
//   - No row is dropped silently. Each is taken, or stands in the rejects file with its line and the reason. What the log
//     has, and no machine has decided, is asked for again until it is; if patience ends before, it stands there as
//     pending. Only orders that are not to be waited for are left undecided.
//   - No order counts twice, however often it was sent, and however often the run was killed and begun again: it has
//     an id, or an Idempotency-Key made of the file's content and the row's line.
//   - No movement of stock counts twice, by the same means, as long as fewer than a hundred other movements with an id
//     or a key reach its SKU between the first time that it is sent and the last: a SKU remembers a hundred. A run keeps
//     so little under way that its own never do that, nor when it goes on where it was stopped. What others send
//     meanwhile may, and so may --restart, which sends again what was taken long ago.
//   - What was done is written to the progress file before the run gets far ahead of it, and a run goes on there.
//   - Memory does not grow with the file.
//
// The stages are: lines (lines.go) become records (records.go), those become entries (orders.go, stock.go, ndjson.go),
// each of which is one request (send.go); pipeline.go runs them side by side and settles them in the order of the file.
package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// What the rows of a file may be.
const (
	Orders = "orders"
	Stock  = "stock"
)

// Formats of a file.
const (
	Auto   = "auto" // by the end of its name
	CSV    = "csv"
	NDJSON = "ndjson"
)

// Options say what is loaded, and how.
type Options struct {
	Kind, File  string
	URL         string
	Format      string
	Columns     map[string]string // of CSV: the field of the API, and the column that has it; "" for none
	Separator   string            // of CSV
	Rate        float64           // requests a second, 0 for as many as there can be
	Concurrency int               // requests at once
	Wait        bool              // for the outcome of each order
	Patience    time.Duration     // how long a row is sent again that Stockflow doesn't take or decide
	Batch       string            // rows of the same file count again under another name
	Rejects     string            // path, FILE.rejects.csv if empty
	Progress    string            // path, FILE.progress if empty
	Restart     bool              // forget the progress file; see above for what may count twice then
	Out         io.Writer         // of the progress: a bar if it is a terminal
}

// maxStockConcurrency leaves room below the hundred movements that a SKU remembers: all that this run has sent and not
// written to its progress may be sent again, and must not have been forgotten by then.
const maxStockConcurrency = 32

// Check returns what is wrong with the options, by the names of their flags.
func (o Options) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if at, err := url.Parse(o.URL); err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		wrong("--url: must be http://HOST:PORT, is %q", o.URL)
	}
	if !(o.Rate >= 0 && o.Rate < 1e9) {
		wrong("--rate: must be 0 or more, is %v", o.Rate)
	}
	most := 1_000
	if o.Kind == Stock {
		most = maxStockConcurrency
	}
	if o.Concurrency < 1 || o.Concurrency > most {
		wrong("--concurrency: must be 1 to %d for %s, is %d", most, o.Kind, o.Concurrency)
	}
	if o.Patience < 0 {
		wrong("--patience: must be 0 or more, is %v", o.Patience)
	}
	if utf8.RuneCountInString(o.Separator) != 1 || strings.ContainsAny(o.Separator, "\"\r\n\uFFFD") {
		wrong("--separator: must be one character, and no quote or line break, is %q", o.Separator)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Columns)) {
		if fields := fieldsOf(o.Kind); !slices.Contains(fields, name) {
			wrong("--map: %q is no field of %s; they are %s", name, o.Kind, strings.Join(fields, ", "))
		}
	}
	if o.format() == "" {
		wrong("--format: the name of %s doesn't say whether it is CSV or NDJSON; say --format csv or --format ndjson", o.File)
	}
	if o.format() == NDJSON && len(o.Columns) > 0 {
		wrong("--map: is for CSV; the lines of NDJSON have the API's own names")
	}
	return errors.Join(append(errs, o.checkPaths())...)
}

// checkPaths keeps the file from being overwritten by what is said about it.
func (o Options) checkPaths() error {
	paths := map[string]string{}
	for _, p := range [][2]string{{"FILE", o.File}, {"--rejects", o.rejects()}, {"--progress", o.progress()}} {
		clean := filepath.Clean(p[1])
		if other, taken := paths[clean]; taken {
			return fmt.Errorf("%s: is %s, as is %s", p[0], clean, other)
		}
		paths[clean] = p[0]
	}
	return nil
}

func (o Options) rejects() string {
	if o.Rejects != "" {
		return o.Rejects
	}
	return o.File + ".rejects.csv"
}

func (o Options) progress() string {
	if o.Progress != "" {
		return o.Progress
	}
	return o.File + ".progress"
}

// format returns "" if it can't tell.
func (o Options) format() string {
	if o.Format != Auto {
		return o.Format
	}
	switch strings.ToLower(filepath.Ext(o.File)) {
	case ".csv", ".tsv":
		return CSV
	case ".ndjson", ".jsonl":
		return NDJSON
	}
	return ""
}

// reading is how the rows of a file are understood. A run that understands them otherwise can't go on where another
// ended.
func (o Options) reading() string {
	said := []string{o.Kind, o.format(), "separator " + o.Separator, "batch " + o.Batch}
	for _, field := range slices.Sorted(maps.Keys(o.Columns)) {
		said = append(said, field+"="+o.Columns[field])
	}
	return strings.Join(said, ", ")
}

// Run loads a file and returns what became of its rows. The error says why it did not come to the end of the file; the
// summary then says how far it came, and the next run goes on there.
func Run(ctx context.Context, o Options) (Summary, error) {
	if err := o.Check(); err != nil {
		return Summary{}, err
	}
	file, err := openFile(o.File)
	if err != nil {
		return Summary{}, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	before, err := file.Stat()
	if err != nil {
		return Summary{}, err
	}
	fingerprint, err := fingerprintOf(ctx, file)
	if err != nil {
		return Summary{}, err
	}
	p, err := o.resume(fingerprint)
	if err != nil {
		return Summary{}, err
	}
	if p.Done {
		return p.summary(o), nil
	}
	l, err := newLoading(ctx, o, file, p)
	if err != nil {
		return p.summary(o), err
	}
	err = l.run(ctx, before.Size())
	if after, serr := file.Stat(); serr == nil && (after.Size() != before.Size() || after.ModTime() != before.ModTime()) {
		err = errors.Join(err, fmt.Errorf("%s was changed while it was loaded", o.File))
	}
	return l.summary(), err
}

// openFile opens a file to be loaded by this process alone.
func openFile(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: a run that was killed could not read it again", path)
	}
	if err == nil {
		if lock := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(lock, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%s is being loaded by another process", path)
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// fingerprintOf reads a file through and returns to its beginning.
func fingerprintOf(ctx context.Context, file io.ReadSeeker) (string, error) {
	sum := sha256.New()
	for {
		_, err := io.CopyN(sum, file, 16<<20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return "", err
		}
	}
	_, err := file.Seek(0, io.SeekStart)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), err
}
