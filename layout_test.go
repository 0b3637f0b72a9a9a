package main_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rules of the house, as far as a machine can tell: who may import whom, how long things may get, and what they
// may not be called. processors/doc.go says why the layers are as they are.

// layers are the house from its roof down, as docs/layout.md lists it: the top directories of each line. The root is ".".
var layers = readLayers()

// machines is the layer whose packages decide.
const machines = "machines"

// conductor is the one machine that knows the vocabularies of others, as it sends to them.
const conductor = "machines/order"

// impure is what a machine can't have, or a replay would come to another result: a world, other goroutines, chance.
var impure = []string{"os", "net", "log", "sync", "math/rand", "crypto/rand", "runtime", "syscall", "unsafe"}

// clocks are the functions of package time that ask what time it is.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// nothings are names that say nothing.
var nothings = regexp.MustCompile(`(?i)^(utils?|common|helpers?|manager|base)$`)

const (
	module       = "stockflow"
	longestFile  = 400 // lines, and this many are already too many
	longestFunc  = 70
	goka         = "github.com/lovoo/goka"
	gokaIsFor    = "engine views"
	benchmarking = "benchmarks" // they measure goka as it comes
)

// source is a file of Go, at a path from the root with slashes.
type source struct {
	path string
	text string
	set  *token.FileSet
	file *ast.File
}

func parse(t *testing.T, name, text string) source {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return source{name, text, set, file}
}

func (s source) dir() string               { return path.Dir(s.path) }
func (s source) isTest() bool              { return strings.HasSuffix(s.path, "_test.go") }
func (s source) line(p token.Pos) int      { return s.set.Position(p).Line }
func (s source) imports(each func(string)) { s.eachImport(func(p, _ string) { each(p) }) }
func (s source) isMachine() bool           { return top(s.dir()) == machines }
func (s source) lines(n ast.Node) int      { return s.line(n.End()) - s.line(n.Pos()) + 1 }
func within(dir, tree string) bool         { return dir == tree || strings.HasPrefix(dir, tree+"/") }
func isImpure(p string) bool {
	return slices.ContainsFunc(impure, func(i string) bool { return within(p, i) })
}
func isStandard(p string) bool {
	return !strings.Contains(strings.SplitN(p, "/", 2)[0], ".") && !within(p, module)
}
func (s source) eachImport(f func(p, name string)) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value) // the parser has checked it
		name := path.Base(p)
		if i.Name != nil {
			name = i.Name.Name
		}
		f(p, name)
	}
}

// readLayers reads the list in docs/layout.md. A line begins with the directories of its layer, and goes on with what they are.
func readLayers() (layers [][]string) {
	text, err := os.ReadFile("docs/layout.md")
	if err != nil {
		panic(err)
	}
	list := strings.Split(string(text), "```")
	if len(list) != 3 {
		panic("docs/layout.md has no list of layers")
	}
	for line := range strings.Lines(list[1]) {
		var layer []string
		for _, word := range strings.Fields(line) {
			if dir := path.Dir(word); word == "main.go" || strings.HasSuffix(word, "/") {
				layer = append(layer, dir)
				continue
			}
			break
		}
		if layer != nil {
			layers = append(layers, layer)
		}
	}
	return layers
}

// top returns the topmost directory that dir lies in, "." for the root.
func top(dir string) string { return strings.SplitN(dir, "/", 2)[0] }

// floor returns how many layers stand above dir, -1 if the layout doesn't have it.
func floor(dir string) int {
	return slices.IndexFunc(layers, func(layer []string) bool { return slices.Contains(layer, top(dir)) })
}

// rules are those that each file keeps; each returns its complaints. What is generated is measured by nobody.
var rules = []func(source) []string{belowOnly, pureMachines, gokaInItsPlace, shortFiles, shortFunctions, tellingNames, nothingLeftToDo}

// belowOnly: imports go down. Tests may look up, as they set up what they test.
func belowOnly(s source) (wrong []string) {
	if floor(s.dir()) < 0 {
		return []string{fmt.Sprintf("directory %s isn't in the layout", s.dir())}
	}
	s.imports(func(p string) {
		if !within(p, module) || s.isTest() {
			return
		}
		if there := path.Join(".", strings.TrimPrefix(strings.TrimPrefix(p, module), "/")); !mayImport(s.dir(), there) {
			wrong = append(wrong, fmt.Sprintf("%s imports %s, which doesn't stand below it", s.dir(), there))
		}
	})
	return wrong
}

func mayImport(here, there string) bool {
	if top(here) == machines {
		return here == conductor && top(there) == machines
	}
	return top(here) == top(there) && here != "." || floor(here) < floor(there)
}

// pureMachines: nothing but the message and the row.
func pureMachines(s source) (wrong []string) {
	if !s.isMachine() || s.isTest() {
		return nil
	}
	clock := ""
	s.eachImport(func(p, name string) {
		if isImpure(p) || !isStandard(p) && !within(p, module) {
			wrong = append(wrong, fmt.Sprintf("a machine imports %s", p))
		}
		if p == "time" {
			clock = name
		}
	})
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && isClock(sel, clock) {
			wrong = append(wrong, fmt.Sprintf("line %d: a machine uses time.%s", s.line(n.Pos()), sel.Sel.Name))
		}
		return true
	})
	return wrong
}

func isClock(sel *ast.SelectorExpr, clock string) bool {
	of, ok := sel.X.(*ast.Ident)
	return ok && clock != "" && of.Name == clock && slices.Contains(clocks, sel.Sel.Name)
}

// gokaInItsPlace: what works around goka's weaknesses is in few hands.
func gokaInItsPlace(s source) (wrong []string) {
	s.imports(func(p string) {
		if within(p, goka) && !slices.Contains(strings.Fields(gokaIsFor+" "+benchmarking), top(s.dir())) {
			wrong = append(wrong, fmt.Sprintf("%s imports %s, which is for %s", s.dir(), p, gokaIsFor))
		}
	})
	return wrong
}

func shortFiles(s source) []string {
	if n := strings.Count(s.text, "\n"); n >= longestFile {
		return []string{fmt.Sprintf("has %d lines; split it below %d", n, longestFile)}
	}
	return nil
}

func shortFunctions(s source) (wrong []string) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && s.lines(f) > longestFunc {
			wrong = append(wrong, fmt.Sprintf("line %d: %s has %d lines, more than %d", s.line(f.Pos()), f.Name.Name, s.lines(f), longestFunc))
		}
	}
	return wrong
}

// tellingNames: packages, files, types and functions are called what they are.
func tellingNames(s source) (wrong []string) {
	names := append(strings.Split(strings.TrimSuffix(s.path, ".go"), "/"), s.file.Name.Name)
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names = append(names, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					names = append(names, t.Name.Name)
				}
			}
		}
	}
	for _, name := range names {
		if i := slices.IndexFunc(words(name), nothings.MatchString); i >= 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %q says nothing", name, words(name)[i]))
		}
	}
	return wrong
}

var wordStart = regexp.MustCompile(`([a-z0-9])([A-Z])`)

// words takes a name apart, in_this_way and inThisWay.
func words(name string) []string {
	return strings.FieldsFunc(wordStart.ReplaceAllString(name, "$1 $2"), func(r rune) bool { return strings.ContainsRune("_- .", r) })
}

var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XXX)\b`)

func nothingLeftToDo(s source) (wrong []string) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if mark := unfinished.FindString(c.Text); mark != "" {
				wrong = append(wrong, fmt.Sprintf("line %d: %s; do it, or open an issue", s.line(c.Pos()), mark))
			}
		}
	}
	return wrong
}

func TestHouseRules(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "tools") {
			return filepath.SkipDir
		}
		if filepath.Ext(name) == ".go" {
			seen++
			check(t, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

func check(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	s := parse(t, name, string(text))
	if ast.IsGenerated(s.file) {
		return
	}
	for _, rule := range rules {
		for _, complaint := range rule(s) {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

// Each rule is broken once, and kept where it is nearly broken.
func TestTheRulesNotice(t *testing.T) {
	long := func(n int) string { return "package x\nfunc f() {" + strings.Repeat("\n", n-1) + "}\n" }
	for _, test := range []struct{ path, text, want string }{
		{"engine/x.go", `package engine; import "stockflow/broker"`, ""},
		{"broker/x.go", `package broker; import "stockflow/engine"`, "doesn't stand below"},
		{"broker/x.go", `package broker; import "stockflow"`, "doesn't stand below"},
		{"broker/x_test.go", `package broker; import "stockflow/engine"`, ""},
		{"codecs/x.go", `package codecs; import "stockflow/codecs/internal/wire"`, ""},
		{"codecs/x.go", `package codecs; import "stockflow/machines/order"`, ""},
		{"codecs/x.go", `package codecs; import "stockflow/processors"`, "doesn't stand below"},
		{"move/x.go", `package move; import "stockflow/kafkaport"`, "doesn't stand below"},
		{"processors/x.go", `package processors; import "stockflow/machines/order"`, ""},
		{"attic/x.go", `package attic`, "isn't in the layout"},
		{"machines/order/x.go", `package order; import "stockflow/machines/shipment"`, ""},
		{"machines/shipment/x.go", `package shipment; import "stockflow/machines/order"`, "doesn't stand below"},
		{"machines/order/x.go", `package order; import "stockflow/codecs"`, "doesn't stand below"},
		{"machines/order/x.go", `package order; import "github.com/gorilla/mux"`, "a machine imports"},
		{"machines/order/x.go", `package order; import "sync/atomic"`, "a machine imports"},
		{"machines/order/x.go", `package order; import "math/rand/v2"`, "a machine imports"},
		{"machines/order/x.go", `package order; import "math/bits"`, ""},
		{"machines/order/x.go", `package order; import "time"; var t = time.Now()`, "time.Now"},
		{"machines/order/x.go", `package order; import c "time"; var t = c.Now`, "time.Now"},
		{"machines/order/x.go", `package order; import "time"; var t = time.UnixMilli(1)`, ""},
		{"machines/order/x_test.go", `package order; import "math/rand"`, ""},
		{"api/x.go", `package api; import "github.com/lovoo/goka/storage"`, "which is for engine views"},
		{"views/x.go", `package views; import "github.com/lovoo/goka"`, ""},
		{"api/x.go", "package api" + strings.Repeat("\n", 399), ""},
		{"api/x.go", "package api" + strings.Repeat("\n", 400), "has 400 lines"},
		{"api/x.go", long(70), ""},
		{"api/x.go", long(71), "f has 71 lines"},
		{"api/util/x.go", `package x`, `"util" says nothing`},
		{"api/test_helper.go", `package api`, `"helper" says nothing`},
		{"api/x.go", `package api; type lockManager int`, `"Manager" says nothing`},
		{"api/x.go", `package api; type databaseUtility int`, ""},
		{"api/x.go", "package api\n// TO" + "DO: more", "do it, or open an issue"},
	} {
		s := parse(t, test.path, test.text)
		var all []string
		for _, rule := range rules {
			all = append(all, rule(s)...)
		}
		got := strings.Join(all, "; ")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: %.60s: got %q, want %q", test.path, test.text, got, test.want)
		}
	}
}

// target is a line of the Makefile that make help shows.
var target = regexp.MustCompile(`(?m)^([a-z-]+):.*## (.*)$`)

// The README shows what make help does.
func TestTheREADMEListsTheTargets(t *testing.T) {
	makefile, err1 := os.ReadFile("Makefile")
	readme, err2 := os.ReadFile("README.md")
	targets := target.FindAllStringSubmatch(string(makefile), -1)
	if err := errors.Join(err1, err2); err != nil || len(targets) == 0 {
		t.Fatal("there are no targets: ", err)
	}
	for _, m := range targets {
		if line := fmt.Sprintf("  %-13s %s\n", m[1], m[2]); !strings.Contains(string(readme), line) {
			t.Errorf("the README doesn't say %q", line)
		}
	}
}
