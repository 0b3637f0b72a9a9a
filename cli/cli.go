// Package cli is the command line: one file a command.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/alecthomas/kong"
)

// commands is the command line. Every flag is also an environment variable, STOCKFLOW_ and its name; a flag comes
// before the environment, that before the file of --config, and that before the default.
type commands struct {
	Config   kong.ConfigFlag `help:"JSON file with flags by name, such as {\"http\": \"127.0.0.1:9000\"}." placeholder:"FILE"`
	LogLevel slog.Level      `help:"What is logged: debug, info, warn or error." default:"info"`
	LogJSON  bool            `help:"Log as JSON, one object a line." name:"log-json"`

	Serve   Serve   `cmd:"" help:"Run Stockflow: broker, processors, views and HTTP."`
	Load    Load    `cmd:"" help:"Send the rows of a CSV or NDJSON file to a running Stockflow."`
	Show    show    `cmd:"" help:"Print a row of a table, now or as it was."`
	Health  health  `cmd:"" help:"Ask a running Stockflow whether it is ready."`
	Version version `cmd:"" help:"Print the version."`

	Verify verifyTables `cmd:"" help:"Fold the logs again and compare with the tables."`
	Replay replayTables `cmd:"" help:"Make tables what their logs make them."`

	Backup backup `cmd:"" help:"Copy the journal, while Stockflow runs; a second time only what is new."`

	Move moveJournal `cmd:"" help:"Move the journal to a Kafka, offset for offset."`

	Topics inspectTopics `cmd:"" help:"Show what topics there are and what there should be."`

	DeadLetters deadLetters `cmd:"" help:"Look at the messages that no machine could take, and send them again."`
}

// Main runs the command line of this process and ends it.
func Main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code: 0, 1 for a command that failed, 2 for one that was
// not understood, or what the command's own error says.
func run(args []string, stdout, stderr io.Writer) (code int) {
	var c commands
	exit := -1
	parser, err := newParser(&c, stdout, stderr, func(code int) { exit = code })
	if err != nil {
		panic(err) // the struct above is wrong, whatever the arguments
	}
	ctx, err := parser.Parse(args)
	if exit >= 0 {
		return exit // --help
	}
	if err != nil {
		fmt.Fprintln(stderr, "stockflow:", err)
		return 2
	}
	ctx.BindTo(stdout, (*io.Writer)(nil))
	ctx.Bind(logger(&c, stderr))
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(stderr, "stockflow:", err)
		var own kong.ExitCoder
		if errors.As(err, &own) {
			return own.ExitCode()
		}
		return 1
	}
	return 0
}

func newParser(c *commands, stdout, stderr io.Writer, exit func(int)) (*kong.Kong, error) {
	return kong.New(c,
		kong.Name("stockflow"),
		kong.Description("The order-fulfilment stream engine."),
		kong.Writers(stdout, stderr),
		kong.Exit(exit),
		kong.DefaultEnvars("STOCKFLOW"),
		kong.Configuration(file),
		kong.UsageOnError(),
	)
}

// file reads the file of --config.
func file(r io.Reader) (kong.Resolver, error) {
	var values map[string]any
	if err := json.NewDecoder(r).Decode(&values); err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return settings(values), nil
}

// settings are flags by name, from a file.
type settings map[string]any

// Validate refuses names that no flag has: a setting with a slip in its name would be ignored.
func (s settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, node := range append([]*kong.Node{app.Node}, app.Leaves(false)...) {
		for _, f := range node.Flags {
			known[f.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !known[name] {
			return fmt.Errorf("--config: there is no flag %q", name)
		}
	}
	return nil
}

// Resolve returns the value of a flag. The environment comes first, but kong asks here nevertheless.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, set := os.LookupEnv(env); set {
			return nil, nil
		}
	}
	return s[flag.Name], nil
}

func logger(c *commands, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
