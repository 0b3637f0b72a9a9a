package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestACommandLineThatIsNotUnderstood has an exit code of its own, and says what was wrong with it.
func TestACommandLineThatIsNotUnderstood(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"serve --no-such-flag", "--no-such-flag"},
		{"serve --roles=chef", "chef"},
		{"serve --partitions=many", "many"},
		{"serve --config=no-such-file", "no-such-file"},
		{"fly", "fly"},
		{"", "serve"},
	} {
		p := spawn(t, strings.Fields(c.args)...)
		if code := p.Exit(); code != 2 || !strings.Contains(p.Stderr.String(), c.says) {
			t.Errorf("stockflow %s ends with %d and %q", c.args, code, p.Stderr.String())
		}
	}
}

// TestAFlagComesBeforeTheEnvironmentAndThatBeforeTheFile names addresses that nobody can listen on: the one that is
// taken is in the error.
func TestAFlagComesBeforeTheEnvironmentAndThatBeforeTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stockflow.json")
	if err := os.WriteFile(file, []byte(`{"http": "of-the-file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	data := "--data=" + t.TempDir()
	wantAddress := func(want string, args ...string) {
		t.Helper()
		var stdout, stderr strings.Builder
		code := run(append([]string{"serve", data}, args...), &stdout, &stderr)
		if code != 1 || !strings.Contains(stderr.String(), want+": missing port") {
			t.Errorf("serve %q ends with %d and %q, expected it to listen on %s", args, code, stderr.String(), want)
		}
	}
	wantAddress("of-the-file", "--config", file)
	t.Setenv("STOCKFLOW_HTTP", "of-the-environment")
	wantAddress("of-the-environment")
	wantAddress("of-the-environment", "--config", file)
	wantAddress("of-the-flag", "--config", file, "--http", "of-the-flag")
}

// TestTheDefaultsAreShown: where Stockflow listens and what it keeps where, to whom says nothing.
func TestTheDefaultsAreShown(t *testing.T) {
	var stdout, stderr strings.Builder
	if code := run([]string{"serve", "--help"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("--help ends with %d and %q", code, stderr.String())
	}
	for _, want := range []string{`--http="127.0.0.1:8080"`, `--data="./data"`, "--partitions=8", "--roles=all", "$STOCKFLOW_HTTP"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("--help lacks %s:\n%s", want, stdout.String())
		}
	}
}

// told carries out a command line, and expects its exit code and texts in what it prints.
func told(t *testing.T, code int, says []string, args ...string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	if got := run(args, &stdout, &stderr); got != code {
		t.Errorf("%q ends with %d, expected %d: %s%s", args, got, code, stdout.String(), stderr.String())
	}
	for _, text := range says {
		if !strings.Contains(stdout.String()+stderr.String(), text) {
			t.Errorf("%q says %s%s\nexpected %q in it", args, stdout.String(), stderr.String(), text)
		}
	}
	return stdout.String()
}
