package load

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// usual is a run with the settings that the command line has by itself.
func usual(kind, file, url string) Options {
	return Options{
		Kind: kind, File: file, URL: url, Format: Auto, Separator: ",", Concurrency: 16, Wait: true, Patience: time.Minute,
	}
}

func TestOptionsThatMakeNoSenseAreRefusedByName(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"": func(*Options) {},
		`--url: must be http://HOST:PORT, is "localhost:8080"`:                                                     func(o *Options) { o.URL = "localhost:8080" },
		"--rate: must be 0 or more, is -1":                                                                         func(o *Options) { o.Rate = -1 },
		"--concurrency: must be 1 to 1000 for orders, is 0":                                                        func(o *Options) { o.Concurrency = 0 },
		"--concurrency: must be 1 to 32 for stock, is 33":                                                          func(o *Options) { o.Kind, o.Concurrency = Stock, 33 },
		"--patience: must be 0 or more, is -1s":                                                                    func(o *Options) { o.Patience = -time.Second },
		`--separator: must be one character, and no quote or line break, is "ab"`:                                  func(o *Options) { o.Separator = "ab" },
		"--format: the name of x.txt doesn't say whether it is CSV or NDJSON; say --format csv or --format ndjson": func(o *Options) { o.File = "x.txt" },
		`--map: "skU" is no field of stock; they are sku, quantity, location, reference, reason, id`:               func(o *Options) { o.Kind, o.Columns = Stock, map[string]string{"skU": "x"} },
		"--map: is for CSV; the lines of NDJSON have the API's own names":                                          func(o *Options) { o.File, o.Columns = "x.ndjson", map[string]string{"sku": "x"} },
		"--rejects: is x.csv, as is FILE":                                                                          func(o *Options) { o.Rejects = "./x.csv" },
		"--progress: is y, as is --rejects":                                                                        func(o *Options) { o.Rejects, o.Progress = "y", "y" },
	} {
		o := usual(Orders, "x.csv", "http://127.0.0.1:8080")
		change(&o)
		got := ""
		if err := o.Check(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	const again, wrong = "again", "wrong"
	problem := func(status int, code string) answer {
		return answer{status, "application/problem+json", []byte(`{"type":"urn:stockflow:problem:` + code + `","code":"` + code + `","detail":"D.","errors":[{"field":"f","problem":"p"}]}`), 0}
	}
	row := func(status int, body string) answer { return answer{status, "application/json", []byte(body), 0} }
	for i, c := range []struct {
		a    answer
		err  error
		want string
	}{
		{row(201, `{"order_id":"A","status":"confirmed"}`), nil, "confirmed"},
		{row(202, `{"order_id":"A b","status":"pending"}`), nil, "again, open at /v1/orders/A%20b"},
		{row(200, `{"sku":"lamp","on_hand":5}`), nil, "taken"},
		{row(202, `{"status":"accepted","see":"/v1/inventory/lamp"}`), nil, "again, open at /v1/inventory/lamp"},
		{row(201, `{"order_id":"A","status":"con`), errors.New("it broke off"), again},
		{answer{}, errors.New("connection refused"), again},
		{problem(503, "busy"), nil, again},
		{problem(503, "outcome_unknown"), nil, again},
		{problem(429, "rate_limited"), nil, again},
		{problem(408, "too_slow"), nil, again},
		{row(502, "<html>"), nil, again},
		{problem(500, "internal"), nil, again},
		{problem(409, "id_conflict"), nil, "refused id_conflict: D. f: p."},
		{problem(400, "invalid"), nil, "bad invalid: D. f: p."},
		{problem(413, "body_too_large"), nil, "bad body_too_large: D. f: p."},
		{problem(404, "not_found"), nil, wrong},
		{problem(405, "method_not_allowed"), nil, wrong},
		{row(404, "<html>"), nil, wrong},
		{row(301, ""), nil, wrong},
		{row(200, "<html>"), nil, wrong},
		{row(200, "{}"), nil, wrong},
	} {
		o, settled, err := settle(c.a, c.err)
		got := o.status
		switch {
		case err != nil:
			got = wrong
		case !settled && o.open():
			got = again + ", open at " + o.shows
		case !settled:
			got = again
		case o.bad:
			got = "bad " + o.refused
		case o.refused != "":
			got = "refused " + o.refused
		}
		if got != c.want {
			t.Errorf("%d: %v %v is %q, expected %q", i, c.a, c.err, got, c.want)
		}
	}
}

// counter is a Stockflow that takes everything and remembers nothing.
func counter(t *testing.T) (url string, n *atomic.Int64) {
	t.Helper()
	n = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n.Add(1)
		}
		_, _ = w.Write([]byte(`{"sku":"lamp"}`))
	}))
	t.Cleanup(s.Close)
	return s.URL, n
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAFileIsNotLoadedTwice: not when it is done, not when it has changed, not elsewhere, and not by two at once.
func TestAFileIsNotLoadedTwice(t *testing.T) {
	url, n := counter(t)
	file := write(t, filepath.Join(t.TempDir(), "stock.csv"), "sku,quantity\nlamp,1\nlamp,x\nlamp,2\n")
	run := func(change func(*Options)) (Summary, error) {
		o := usual(Stock, file, url)
		change(&o)
		return Run(t.Context(), o)
	}
	wantRefused := func(want string, change func(*Options)) {
		t.Helper()
		if _, err := run(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected %q in it", err, want)
		}
	}
	same := func(*Options) {}
	first, err := run(same)
	if err != nil || first.Receipts != 2 || first.BadRows != 1 || first.Rows != 3 || !first.Done || first.AllAccepted() {
		t.Errorf("the first run: %+v %v", first, err)
	}
	second, err := run(same)
	if err != nil || second.Counts != first.Counts || second.Rejects != first.Rejects || n.Load() != 2 {
		t.Errorf("the second run: %+v %v, %d requests", second, err, n.Load())
	}
	wantRefused("is of a run that sent it to "+url, func(o *Options) { o.URL = url + "/x" })
	wantRefused("is of a run that read the file otherwise", func(o *Options) { o.Batch = "b" })
	if s, err := run(func(o *Options) { o.Restart = true }); err != nil || s.Receipts != 2 || n.Load() != 4 {
		t.Errorf("the third run: %+v %v, %d requests", s, err, n.Load())
	}
	write(t, file, "sku,quantity\nlamp,1\n")
	wantRefused("with other content: the file has changed since line 4 of it was loaded", same)
	write(t, file+".progress", "{}")
	wantRefused("is not one that this version has written", same)
	held, err := openFile(file)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	wantRefused("is being loaded by another process", same)
	if n.Load() != 4 {
		t.Errorf("%d requests were sent", n.Load())
	}
}

func TestWhatCanNotBeLoadedIsNamed(t *testing.T) {
	url, _ := counter(t)
	dir := t.TempDir()
	good := write(t, filepath.Join(dir, "good.csv"), "sku,quantity\nlamp,1\n")
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct{ want, file, url string }{
		{"no such file", filepath.Join(dir, "none.csv"), url},
		{"is not a regular file", dir, url},
		{"its first line must name the columns", write(t, filepath.Join(dir, "empty.csv"), ""), url},
		{"--url: nobody answers at " + gone.URL, good, gone.URL},
	} {
		o := usual(Stock, c.file, c.url)
		o.Format = CSV
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, expected %q in it", err, c.want)
		}
	}
	if left, _ := filepath.Glob(good + ".*"); len(left) > 0 {
		t.Errorf("a run that sent nothing leaves %v", left)
	}
}

// TestALoadThatCanNotGoOnSaysWhere, and keeps what it has.
func TestALoadThatCanNotGoOnSaysWhere(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && n.Add(1) > 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(`{"sku":"lamp"}`))
	}))
	defer s.Close()
	file := write(t, filepath.Join(t.TempDir(), "stock.csv"), "sku,quantity\nlamp,1\nlamp,x\nlamp,2\nlamp,3\n")
	o := usual(Stock, file, s.URL)
	o.Concurrency, o.Patience = 1, 0
	got, err := Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), `did not take line 5 within 0s: the answer is 503 "{\"sku\":\"lamp\"}"`) {
		t.Errorf("the error is %v", err)
	}
	if got.Line != 4 || got.Receipts != 2 || got.BadRows != 1 || got.Done {
		t.Errorf("the summary is %+v", got)
	}
	n.Store(-10)
	if got, err = Run(t.Context(), o); err != nil || got.Receipts != 3 || !got.Done || got.From != 4 || n.Load() != -9 {
		t.Errorf("the second run: %+v %v, %d requests", got, err, n.Load()+10)
	}
}

// TestAStopIsQuick: whoever waits for Stockflow to come back is not waited for.
func TestAStopIsQuick(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			stop()
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	file := write(t, filepath.Join(t.TempDir(), "stock.csv"), "sku,quantity\nlamp,1\n")
	if got, err := Run(ctx, usual(Stock, file, s.URL)); !errors.Is(err, context.Canceled) || got.Done {
		t.Errorf("got %+v %v", got, err)
	}
}

// TestRejectsOfRowsThatAreNotSettledAreRemoved, and a repaired rejects file can be loaded as it is.
func TestRejectsOfRowsThatAreNotSettledAreRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.csv")
	write(t, path, "of a run before")
	r, err := openRejects(path, 0, []string{"sku", "quantity"})
	row := func(line int64) []fileRow {
		return []fileRow{{line, []string{"lamp", "a\"b"}, "is bad"}, {line + 1, nil, ""}}
	}
	if err := errors.Join(err, r.add(row(2)), r.sync()); err != nil {
		t.Fatal(err)
	}
	settled := r.size
	if err := errors.Join(r.add(row(4)), r.sync(), r.close()); err != nil {
		t.Fatal(err)
	}
	if r, err = openRejects(path, settled, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.add(row(6)), r.sync(), r.close()); err != nil {
		t.Fatal(err)
	}
	want := "reject_line,reject_reason,sku,quantity\n2,is bad,lamp,\"a\"\"b\"\n6,is bad,lamp,\"a\"\"b\"\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("got %q %v", got, err)
	}
	if _, err := openRejects(path, 1_000, nil); err == nil || !strings.Contains(err.Error(), "is shorter than it was left") {
		t.Errorf("got %v", err)
	}
	if got := entriesOf(t, Options{Kind: Stock, Format: CSV}, strings.ReplaceAll(want, `"a""b"`, "5")); strings.Count(got, `> inventory/lamp/receipts {"quantity":5}`) != 2 {
		t.Errorf("repaired, it is %s", got)
	}
}

func TestProgressInWords(t *testing.T) {
	p := pace{kind: Orders, size: 4_000_000, start: progress{Entries: 100, Offset: 1_000_000}}
	now := progress{Entries: 600, Offset: 2_000_000, Line: 20_000}
	for want, got := range map[string]string{
		"orders [==========          ]  50% of 4.0 MB, line 20000, 50/s, 0m20s left": p.text(now, 10*time.Second, true),
		"orders  50% of 4.0 MB, line 20000, 50/s, 0m20s left":                        p.text(now, 10*time.Second, false),
		"orders  25% of 4.0 MB, line 0, 0/s, ? left":                                 p.text(p.start, 0, false),
		"orders 100% of 999 B, line 9, 0/s, 0m00s left":                              pace{Orders, 999, progress{}}.text(progress{Offset: 999, Line: 9}, time.Hour, false),
	} {
		if got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
	long := pace{Orders, 1 << 50, progress{}}.text(progress{Offset: 1 << 40, Line: 9_999_999_999, Entries: 1}, time.Second, true)
	if len(long) > 100 {
		t.Errorf("%q has %d characters", long, len(long))
	}
}

func TestTheSummaryInWords(t *testing.T) {
	s := Summary{File: "dec.csv", Kind: Orders, Done: true, Line: 42_482, Seconds: 4.04, Rejects: "dec.csv.rejects.csv", Counts: Counts{
		Rows: 42_481, Orders: 1_629, Confirmed: 1_306, Rejected: 323, Refused: 1, RefusedRows: 20, BadRows: 778,
	}}
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"dec.csv: 42,481 rows in 4s", "  orders            1,629", "  confirmed         1,306", "  backordered           0",
		"  rejected            323", "  pending               0", "  refused               1  (20 rows)", "  bad rows            778",
		"  what was not taken is in dec.csv.rejects.csv", "",
	}, "\n")
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
	for want, s := range map[string]Summary{
		"": {},
		"  (2 not waited for, and what is refused of them is not told here)": {Counts: Counts{Pending: 2}},
		"  (2 not decided in time)": {Counts: Counts{Pending: 2, Undecided: 2}},
		"  (1 not decided in time; 1,000 not waited for, and what is refused of them is not told here)": {Counts: Counts{Pending: 1_001, Undecided: 1}},
	} {
		if got := s.remarkOnPending(); got != want {
			t.Errorf("got %q, expected %q", got, want)
		}
	}
}
