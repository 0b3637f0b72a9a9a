package benchmarks

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	processes "stockflow/stockflowtest"
)

var (
	delivered = flag.Int("delivered", 20_000, "how many orders the archive has that is verified and looked back on; each has five messages")
	archived  = flag.String("archive", "", "directory where the archive is, and is kept; it is made if it isn't there")
)

// openArchive returns the directory of an archive.
func openArchive(b *testing.B) string {
	b.Helper()
	if *archived == "" {
		dir := b.TempDir()
		makeArchive(b, dir, *delivered)
		return dir
	}
	dir := filepath.Join(*archived, strconv.Itoa(*delivered))
	if _, err := os.Stat(dir); err != nil {
		half := dir + ".half"
		if err := os.RemoveAll(half); err != nil {
			b.Fatal(err)
		}
		makeArchive(b, half, *delivered)
		if err := os.Rename(half, dir); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkVerify runs "stockflow verify" in a process of its own, on the table of the orders alone and on all, beside a
// server in another process, and on the directory of one that has stopped. events/s are the messages folded, by the time of the whole
// command, which reads as many rows of the changelog besides. cpu-ns/event is what both processes used of all processors, and doesn't
// depend on who else uses them; peak-MiB is what was resident of verify's at most.
func BenchmarkVerify(b *testing.B) {
	dir := openArchive(b)
	b.Run("order", func(b *testing.B) { beside(b, dir, "--table=order") })
	b.Run("all", func(b *testing.B) { beside(b, dir) })
	b.Run("stopped", func(b *testing.B) { measure(b, nil, "--table=order", "--data="+dir) })
}

// BenchmarkFold is BenchmarkVerify of the orders without the changelog: what a fold of the log costs by itself.
func BenchmarkFold(b *testing.B) {
	dir := openArchive(b)
	b.Run("running", func(b *testing.B) { beside(b, dir, "--fold-only", "--table=order") })
	b.Run("stopped", func(b *testing.B) { measure(b, nil, "--fold-only", "--table=order", "--data="+dir) })
}

// beside measures a verification beside the server of a directory, which has nothing else to do.
func beside(b *testing.B, dir string, args ...string) {
	server, _ := serve(b, dir, "no history")
	measure(b, server, append(args, "--data="+dir)...)
}

// measure measures verifications. server is the one that runs beside them, nil if there is none.
func measure(b *testing.B, server *process, args ...string) {
	used := func() time.Duration {
		if server == nil {
			return 0
		}
		return server.sample().Used
	}
	var took, processors time.Duration
	var peak, events, rows int64
	for b.Loop() {
		before, began := used(), time.Now()
		text, most, spent := command(b, append([]string{"verify", "--json"}, args...)...)
		took += time.Since(began)
		processors += spent + used() - before
		peak = max(peak, most)
		e, r := compared(b, text)
		events, rows = events+e, rows+r
	}
	b.ReportMetric(float64(events)/took.Seconds(), "events/s")
	b.ReportMetric(float64(processors.Nanoseconds())/float64(events), "cpu-ns/event")
	b.ReportMetric(float64(rows)/float64(b.N), "rows")
	b.ReportMetric(mib(peak), "peak-MiB")
}

// compared reads how many messages were folded and how many rows compared.
func compared(b *testing.B, text []byte) (events, rows int64) {
	var report struct {
		Tables []struct{ Messages, Rows int64 }
	}
	if err := json.Unmarshal(text, &report); err != nil {
		b.Fatal(err)
	}
	for _, t := range report.Tables {
		events, rows = events+t.Messages, rows+t.Rows
	}
	return events, rows
}

// command runs a command line of Stockflow, which is to succeed, in a process of its own. It returns what it prints, the most
// memory that was resident up to some milliseconds before its end, and the time that it used of all processors.
func command(b *testing.B, args ...string) (stdout []byte, peak int64, used time.Duration) {
	b.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), part+"=command")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &out, &errs, processes.DieWithParent()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(glance)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatalf("%q ends with %v: %s", args, err, errs.String())
			}
			return out.Bytes(), peak, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		case <-look.C:
			peak = max(peak, processes.MostMemory(cmd.Process.Pid))
		}
	}
}
