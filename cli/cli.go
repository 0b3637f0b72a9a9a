// Package cli is the command line: one file a command.
package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"
)

// commands is the command line. Every flag is also an environment variable, STOCKFLOW_ and its name; a flag comes
// before the environment, that before the file of --config, and that before the default.
type commands struct {
	Config   kong.ConfigFlag `help:"JSON file with flags by name, such as {\"http\": \"127.0.0.1:9000\"}." placeholder:"FILE"`
	LogLevel slog.Level      `help:"What is logged: debug, info, warn or error." default:"info"`
	LogJSON  bool            `help:"Log as JSON, one object a line." name:"log-json"`

	Serve   Serve   `cmd:"" help:"Run Stockflow: broker, processors, views and HTTP."`
	Version version `cmd:"" help:"Print the version."`
}

// Main runs the command line of this process and ends it.
func Main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the exit code: 0, 1 for a command that failed, or 2 for one that was
// not understood.
func run(args []string, stdout, stderr io.Writer) (code int) {
	var c commands
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("stockflow"),
		kong.Description("The order-fulfilment stream engine."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.DefaultEnvars("STOCKFLOW"),
		kong.Configuration(file),
		kong.UsageOnError(),
	)
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
		return 1
	}
	return 0
}

// file reads the file of --config. kong asks it for flags that the environment has set too, and would believe it.
func file(r io.Reader) (kong.Resolver, error) {
	inner, err := kong.JSON(r)
	if err != nil {
		return nil, err
	}
	return kong.ResolverFunc(func(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, env := range flag.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		return inner.Resolve(ctx, parent, flag)
	}), nil
}

func logger(c *commands, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
