package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"stockflow/load"
)

// Load sends the rows of a file to a running Stockflow. It ends with 0 when all were taken, 1 when some were not or
// were not decided in time, and 2 when it did not come to the end of the file.
type Load struct {
	Kind string `arg:"" help:"What the rows are: orders, or receipts and adjustments of stock." enum:"orders,stock"`
	File string `arg:"" help:"CSV whose first line names the columns, or NDJSON with one object a line."`

	URL         string            `help:"Where Stockflow is." default:"http://127.0.0.1:8080" name:"url"`
	Format      string            `help:"csv, ndjson, or auto: by the end of the name." default:"auto" enum:"auto,csv,ndjson"`
	Map         map[string]string `help:"The column of each field, such as order_id=InvoiceNo; a field without one has the column of its own name. Of orders: order_id, customer_id, customer_name, customer_email, ship_to, policy, sku, quantity. Of stock: sku, quantity, location, reference, reason, id." mapsep:"," placeholder:"FIELD=COLUMN,..."`
	Separator   string            `help:"Between the columns of CSV." default:","`
	Rate        float64           `help:"Requests a second at most; 0 is no limit." default:"0"`
	Concurrency int               `help:"Requests at once. With more than one, orders arrive not quite in the order of the file." default:"16"`
	NoWait      bool              `help:"Don't wait for the outcome of each order: it counts as pending, and the load doesn't hear of what is refused later."`
	Patience    time.Duration     `help:"How long a row is sent again that Stockflow can't take or has not decided. What is not decided by then counts as pending." default:"5m"`
	Batch       string            `help:"Under another name, rows without an id count again." placeholder:"NAME"`
	Rejects     string            `help:"Where the rows go that were not taken, or not decided in time." placeholder:"FILE.rejects.csv"`
	Progress    string            `help:"Where it is written how far the file is loaded." placeholder:"FILE.progress"`
	Restart     bool              `help:"Begin at the beginning of the file, whatever was loaded before. A row of stock counts again if its SKU has had 100 or more other movements with an id or a key since."`
	JSON        bool              `help:"Print the summary as JSON." name:"json"`
}

// Validate returns what is wrong with the flags.
func (l Load) Validate() error { return l.options(nil).Check() }

func (l Load) options(progress io.Writer) load.Options {
	return load.Options{
		Kind: l.Kind, File: l.File, URL: l.URL, Format: l.Format, Columns: l.Map, Separator: l.Separator, Rate: l.Rate,
		Concurrency: l.Concurrency, Wait: !l.NoWait, Patience: l.Patience, Batch: l.Batch, Rejects: l.Rejects,
		Progress: l.Progress, Restart: l.Restart, Out: progress,
	}
}

// Run loads the file. SIGINT and SIGTERM stop it in good order, a second one at once; either way the same command goes
// on where it was stopped.
func (l Load) Run(stdout io.Writer, k *kong.Kong) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	summary, err := load.Run(ctx, l.options(k.Stderr))
	if summary.File != "" {
		write := summary.WriteText
		if l.JSON {
			write = summary.WriteJSON
		}
		err = errors.Join(err, write(stdout))
	}
	switch {
	case errors.Is(err, context.Canceled):
		return withCode{2, fmt.Errorf("stopped behind line %d; the same command goes on from there", summary.Line)}
	case err != nil && summary.File != "":
		return withCode{2, fmt.Errorf("%w\nloaded up to line %d; the same command goes on from there", err, summary.Line)}
	case err != nil:
		return withCode{2, err}
	case !summary.AllAccepted():
		return withCode{1, errors.New(summary.LeftOut())}
	}
	return nil
}

// withCode is an error that ends the process with a code of its own.
type withCode struct {
	code int
	error
}

func (e withCode) ExitCode() int { return e.code }
func (e withCode) Unwrap() error { return e.error }
