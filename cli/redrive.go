package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"stockflow/broker"
	"stockflow/deadletters"
	"stockflow/engine"
	"stockflow/processors"
	"stockflow/views"
)

// redriveDeadLetters sends letters again.
type redriveDeadLetters struct {
	logsAt  `embed:""`
	IDs     []string `arg:"" optional:"" name:"id" help:"The letters, as list has them: TOPIC/PARTITION/OFFSET."`
	All     bool     `help:"All that were never sent again, but for those that would become dead letters again."`
	Topic   string   `help:"With --all: only of this log." placeholder:"LOG"`
	Yes     bool     `help:"Don't ask."`
	Value   string   `help:"Send what is in this file, in Protobuf or JSON, in place of the value of the one letter." placeholder:"FILE" xor:"repair"`
	SetJSON string   `help:"Send this JSON in place of the value of the one letter." name:"set-json" placeholder:"JSON" xor:"repair"`
	Again   int      `help:"Send what was sent before, to count once more: 1 for the first time that it does, then 2." placeholder:"N"`
	Force   bool     `help:"Send also what would become a dead letter again, as far as can be told."`

	terminal *os.File // nil is standard input
}

// Help is what --help says below the flags.
func (redriveDeadLetters) Help() string {
	return `The message goes to the log it came from, with the key and the headers it had, and with a header "redrive".
What has the same id in that header counts once, however often it is sent: a letter, its repeats, and the letters that
came of redriving it.

Some messages are sent by machines alone, such as reserved or scheduled, and are believed only for their origin, the
message that caused them. A redriven message has none: its redrive id stands for it, and it is believed because you send
it. Look at what you send; a made-up "reserved" gives away stock that nobody holds.

On a terminal it asks before it sends anything. Without one, --all needs --yes.`
}

// largestRepair is more than any log takes.
const largestRepair = broker.LargestMessage

// Validate returns what is wrong with the flags.
func (c redriveDeadLetters) Validate() error {
	switch {
	case c.All == (len(c.IDs) > 0):
		return errors.New("name the letters, or give --all")
	case c.Topic != "" && !c.All:
		return errors.New("--topic: is for --all only")
	case c.Topic != "" && !slices.Contains(processors.Logs, c.Topic):
		return fmt.Errorf("--topic: must be one of %s, is %q", strings.Join(processors.Logs, ", "), c.Topic)
	case c.Again < 0:
		return fmt.Errorf("--again: must be 0 or more, is %d", c.Again)
	case c.Again > 0 && c.All:
		return errors.New("--again: is for letters that are named, as each may have been sent again another number of times")
	case (c.Value != "" || c.SetJSON != "") && len(c.IDs) != 1:
		return errors.New("--value and --set-json: are for one letter")
	}
	return nil
}

// Run chooses the letters, asks, and sends them: over HTTP if a Stockflow runs on the directory.
func (c redriveDeadLetters) Run(stdout io.Writer, log *slog.Logger) error {
	wanted, err := c.wanted()
	if err != nil {
		return err
	}
	repaired, err := c.repaired()
	if err != nil {
		return err
	}
	url, access := "", broker.Writing
	if len(c.Brokers) == 0 {
		if url, err = servedAt(c.Data); err != nil {
			return err
		}
	}
	if url != "" {
		access = broker.Reading
	}
	options := deadletters.Options{Again: c.Again, Value: repaired, Force: c.Force}
	return c.run(log, access, func(ctx context.Context, conn broker.Broker) error {
		r := &redriving{redriveDeadLetters: c, options: options, letters: views.NewDeadLetters(conn, nil), out: stdout, chosen: map[views.DeadLetterID]int{}}
		if err := r.choose(ctx, wanted); err != nil {
			return err
		}
		if len(r.chosen) == 0 {
			return r.end(0)
		}
		if err := c.confirm(stdout, len(r.chosen), r.machines); err != nil {
			return err
		}
		if url != "" {
			return r.send(ctx, servedRedriver{serving{url: url}})
		}
		return r.sendTo(ctx, conn)
	})
}

// wanted returns the letters that were named, nil for all.
func (c redriveDeadLetters) wanted() (map[views.DeadLetterID]bool, error) {
	if c.All {
		return nil, nil
	}
	wanted := map[views.DeadLetterID]bool{}
	for _, text := range c.IDs {
		id, err := views.ParseDeadLetterID(text)
		if err != nil {
			return nil, err
		}
		wanted[id] = true
	}
	return wanted, nil
}

// repaired returns the value that is to be sent in place of the letter's, nil for the letter's own.
func (c redriveDeadLetters) repaired() ([]byte, error) {
	if c.Value == "" {
		if c.SetJSON == "" {
			return nil, nil
		}
		return []byte(c.SetJSON), nil
	}
	f, err := os.Open(c.Value)
	if err != nil {
		return nil, fmt.Errorf("--value: %w", err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	value, err := io.ReadAll(io.LimitReader(f, largestRepair+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("--value: %w", err)
	case len(value) > largestRepair:
		return nil, fmt.Errorf("--value: %s has more than %d bytes", c.Value, largestRepair)
	case len(value) == 0:
		return nil, fmt.Errorf("--value: %s is empty", c.Value)
	}
	return value, nil
}

// confirm asks whether to go on, on a terminal.
func (c redriveDeadLetters) confirm(stdout io.Writer, letters, machines int) error {
	if c.Yes {
		return nil
	}
	in := cmp.Or(c.terminal, os.Stdin)
	if !isTerminal(in) {
		if c.All {
			return errors.New("nothing was sent: without a terminal to ask on, --all needs --yes")
		}
		return nil
	}
	return confirmed(in, stdout, letters, machines)
}

// isTerminal reports whether somebody may sit behind f.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	nobody, err := os.Stat(os.DevNull) // a device too
	return err != nil || !os.SameFile(info, nobody)
}

// confirmed asks whether to send letters.
func confirmed(in io.Reader, out io.Writer, letters, machines int) error {
	question := fmt.Sprintf("send %s again", counted(letters, "letter"))
	if machines > 0 {
		question += fmt.Sprintf(", %d of which only machines send", machines)
	}
	return asked(in, out, question, "nothing was sent")
}

// asked asks and reads the answer. Only yes is one; after any other the error is what did not happen.
func asked(in io.Reader, out io.Writer, question, not string) error {
	fmt.Fprint(out, question+"? [y/N] ")
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(out)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New(not)
	}
	return nil
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// redriving is one run of the command.
type redriving struct {
	redriveDeadLetters
	options  deadletters.Options
	letters  *views.DeadLetters
	out      io.Writer
	chosen   map[views.DeadLetterID]int // to how often each was sent again when it was chosen
	leftOut  int
	hopeless int // of those, that a machine would not take
	machines int // of the chosen, that only machines send
}

// choose finds the letters and looks at each: at what was sent before, and at what would only become a letter again.
func (r *redriving) choose(ctx context.Context, wanted map[views.DeadLetterID]bool) error {
	missing := maps.Clone(wanted)
	pick := func(id views.DeadLetterID, redriven int) bool {
		if r.All {
			return redriven == 0 && (r.Topic == "" || id.Topic == r.Topic)
		}
		return wanted[id]
	}
	err := r.letters.Walk(ctx, pick, func(l views.DeadLetter) error {
		delete(missing, l.ID())
		r.judge(l)
		return nil
	})
	if err != nil {
		return err
	}
	for id := range missing {
		return fmt.Errorf("nothing was sent: %w", noDeadLetter(id))
	}
	return nil
}

// judge chooses a letter, or says why not.
func (r *redriving) judge(l views.DeadLetter) {
	machine, err := r.options.Judge(l)
	var refusal *deadletters.Refusal
	switch {
	case !errors.As(err, &refusal):
		r.chosen[l.ID()] = l.Redriven
		if machine {
			r.machines++
		}
	case refusal.Why == deadletters.Redriven:
		r.leaveOut(l.ID(), fmt.Sprintf("%v; --again %d sends it once more, and counts once more", err, l.Redriven))
	default:
		r.hopeless++
		r.leaveOut(l.ID(), err.Error())
	}
}

func (r *redriving) leaveOut(id views.DeadLetterID, why string) {
	r.leftOut++
	fmt.Fprintf(r.out, "%s is left out: %s\n", printable(id.String()), printable(why))
}

// redriver sends letters that were chosen, as deadletters.Redriver does.
type redriver interface {
	Send(ctx context.Context, letters []views.DeadLetter, o deadletters.Options) ([]deadletters.Sent, error)
}

// sendTo sends the chosen letters to the logs themselves.
func (r *redriving) sendTo(ctx context.Context, conn broker.Broker) error {
	writing, err := redriverOn(ctx, conn)
	if err != nil {
		return err
	}
	defer writing.Close()
	return r.send(ctx, deadletters.NewRedriver(r.letters, writing))
}

// redriverOn returns what writes letters, and requests to skip, to the logs.
func redriverOn(ctx context.Context, conn broker.Broker) (*engine.Redriver, error) {
	partitions, err := partitionsOf(ctx, conn)
	if err != nil {
		return nil, err
	}
	return engine.NewRedriver(conn, partitions)
}

// batchBytes is how many bytes of values wait to be sent together, beside the last one.
const batchBytes = 4 << 20

// send sends the chosen letters, some at a time.
func (r *redriving) send(ctx context.Context, to redriver) error {
	total, size := 0, 0
	var batch []views.DeadLetter
	flush := func() error {
		sent, err := to.Send(ctx, batch, r.options)
		for _, s := range sent {
			fmt.Fprintf(r.out, "%s was sent again\n", printable(s.DeadLetter.ID().String()))
		}
		total, size, batch = total+len(sent), 0, nil
		return err
	}
	pick := func(id views.DeadLetterID, redriven int) bool {
		before, chosen := r.chosen[id]
		return chosen && redriven == before // or somebody else has sent it meanwhile
	}
	err := r.letters.Walk(ctx, pick, func(l views.DeadLetter) error {
		batch = append(batch, l)
		if size += l.Size; len(batch) == engine.MostRedriven || size >= batchBytes {
			return flush()
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	return errors.Join(err, r.end(total))
}

// end says what was done. Whoever named a letter that can't be taken has to know.
func (r *redriving) end(sent int) error {
	fmt.Fprintf(r.out, "%d sent again, %d left out\n", sent, r.leftOut)
	if r.hopeless > 0 && !r.All {
		return fmt.Errorf("%s can't be taken; repair the value with --value or --set-json", counted(r.hopeless, "letter"))
	}
	return nil
}
