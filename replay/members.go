package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrMembers says that somebody processes.
var ErrMembers = errors.New("the group has members")

// nobodyYet is nobody before anything is written.
func (w *work) nobodyYet(ctx context.Context) error {
	if err := w.admin.nobody(ctx, w.Machines); err != nil {
		return fmt.Errorf("%w; stop them first", err)
	}
	return nil
}

// nobodyMeanwhile is nobody after rows were written. No fence keeps a process out that starts while they are: it may have read
// the table before they came, and write its own rows behind them.
func (w *work) nobodyMeanwhile(ctx context.Context) error {
	if err := w.admin.nobody(ctx, w.Machines); err != nil {
		return fmt.Errorf("while rows were written, somebody began to process, and what the tables are now isn't known; no offset was set: %w; "+
			"stop them and run replay again", err)
	}
	return nil
}

// nobody insists that groups have no members.
func (s collector) nobody(ctx context.Context, machines []Machine) error {
	for _, m := range machines {
		members, err := s.conn.Members(ctx, m.Name)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			slices.Sort(members)
			return fmt.Errorf("%w: %s has %s", ErrMembers, m.Name, strings.Join(members, ", "))
		}
	}
	return nil
}
