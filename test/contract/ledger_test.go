package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
)

// item is one thing that a run makes: how the run deletes it, and how a person would.
type item struct {
	what    string
	delete  func(ctx context.Context) (done bool, status string, err error) // polled; something that is not there is deleted
	command string
}

// ledger lists what a run has made.
type ledger struct{ items []item }

// add writes an item down before it is made, as the answer of the call can be lost. Only a denial shows for certain that
// nothing was made.
func (l *ledger) add(i item, create func() error) error {
	l.items = append(l.items, i)
	if create == nil {
		return nil
	}
	err := create()
	if denied(err) {
		l.items = l.items[:len(l.items)-1]
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", i.what, err)
	}
	return nil
}

// cleanUp deletes everything, the newest first, and says what it could not delete. One failure does not keep it from the rest.
func (l *ledger) cleanUp(ctx context.Context, p pace, out io.Writer) error {
	var failures []error
	for _, i := range slices.Backward(l.items) {
		fmt.Fprintf(out, "deleting %s\n", i.what)
		err := p.until(ctx, "it is deleted", func(ctx context.Context) (bool, string, error) {
			done, status, err := i.delete(ctx)
			if err != nil && !denied(err) {
				return false, err.Error(), nil // most pass: the group is busy, a target is not gone yet
			}
			return done, status, err
		})
		if err != nil {
			failures = append(failures, fmt.Errorf("deleting %s: %w\n  delete it with: %s", i.what, err, i.command))
		}
	}
	if err := errors.Join(failures...); err != nil {
		fmt.Fprintf(out, "\nNOT DELETED, and may go on costing money:\n%v\n", err)
		return err
	}
	if len(l.items) > 0 {
		fmt.Fprintln(out, "everything that this run made is deleted")
	}
	return nil
}
