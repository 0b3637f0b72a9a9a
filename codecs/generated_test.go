package codecs

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var generated = flag.Bool("generated", false, "lint the schema and see whether the generated code is up to date; builds buf")

// TestGenerated is the check behind go generate: whoever changes the schema commits what becomes of it.
func TestGenerated(t *testing.T) {
	if !*generated {
		t.Skip("without -generated")
	}
	buf(t, "lint")
	buf(t, "format", "--diff", "--exit-code")
	dir := t.TempDir()
	buf(t, "generate", "--output", dir)
	fresh := read(t, filepath.Join(dir, "codecs/internal/wire"))
	committed := read(t, "internal/wire")
	for name, text := range fresh {
		if committed[name] != text {
			t.Errorf("internal/wire/%s is not what the schema says: run go generate ./codecs", name)
		}
	}
	if len(committed) != len(fresh) {
		t.Errorf("internal/wire has %d files, the schema makes %d", len(committed), len(fresh))
	}
}

func buf(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command("go", append([]string{"tool", "-modfile=tools/go.mod", "buf"}, args...)...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// read returns the files of a directory.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}
