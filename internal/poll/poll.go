// Package poll holds the only wait loop of the program. A condition observes (and may act), and says whether it is done
// and, for people, what it is waiting for. The loop ends when the condition is done, fails for good, or the context ends;
// it does not know what a window, a signal or a lost claim is: those are causes of the context's end.
package poll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// jitter spreads the polls of recycles that started together: an account's Auto Scaling calls share one throttle bucket.
const jitter = 0.3

// maxBackoff caps the pause after transient errors.
const maxBackoff = time.Minute

// Condition reports whether the wait is over, and in one line what it still waits for.
type Condition func(ctx context.Context) (done bool, status string, err error)

// Loop is how to wait. The pause between two observations begins with First and doubles up to Interval: what a wait is for often
// comes soon after it was asked for, and else it takes a while. Without First each is Interval. Pauses are lengthened by a random
// share. A value received from Wake ends one early. Errors for which Transient is true are waited out with a doubling pause instead
// of ending the wait.
type Loop struct {
	First     time.Duration
	Interval  time.Duration
	Jitter    func(time.Duration) time.Duration // lengthens a pause; nil means by up to 30 %, at random
	Wake      <-chan struct{}
	Transient func(error) bool
	Log       *slog.Logger
}

// NotDoneError is returned when the context ends before the condition is done. Status is the last thing waited for,
// Unwrap gives the context's cause.
type NotDoneError struct {
	Status string
	Cause  error
}

func (e *NotDoneError) Error() string {
	if e.Status == "" {
		return fmt.Sprintf("not done yet: %v", e.Cause)
	}
	return fmt.Sprintf("not done yet: %s: %v", e.Status, e.Cause)
}

func (e *NotDoneError) Unwrap() error { return e.Cause }

// Until runs the condition at once and then at every interval until it is done. A status is logged when it changes, a row
// of transient errors once: each has another request id in its text.
func (l Loop) Until(ctx context.Context, condition Condition) error {
	last, failing := "", false
	regular := l.Interval
	if l.First > 0 {
		regular = min(l.First, l.Interval)
	}
	pause := regular
	for {
		done, status, err := condition(ctx)
		var inner *NotDoneError
		switch {
		case errors.As(err, &inner) && !l.transient(err):
			return err
		case ctx.Err() != nil && (err != nil || !done):
			return NotDone(ctx, cmp.Or(status, last))
		case l.transient(err):
			if !failing {
				l.Log.WarnContext(ctx, "retrying with back-off", "err", err)
			}
			last, failing = "retrying: "+err.Error(), true
			pause = min(pause*2, max(maxBackoff, l.Interval))
		case err != nil:
			return err
		case done:
			return nil
		default:
			pause, failing = regular, false
			regular = min(regular*2, l.Interval)
		}
		if status != last && status != "" && !failing {
			l.Log.InfoContext(ctx, "waiting", "for", status)
			last = status
		}
		if !l.sleep(ctx, l.lengthen(pause)) {
			return NotDone(ctx, last)
		}
	}
}

// NotDone is the error of a wait that the end of ctx interrupted.
func NotDone(ctx context.Context, status string) error {
	return &NotDoneError{Status: status, Cause: context.Cause(ctx)}
}

func (l Loop) transient(err error) bool {
	return err != nil && l.Transient != nil && l.Transient(err)
}

func (l Loop) lengthen(pause time.Duration) time.Duration {
	if l.Jitter != nil {
		return l.Jitter(pause)
	}
	return wait.Jitter(pause, jitter)
}

func (l Loop) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
	case <-l.Wake:
	}
	return true
}

// Offer sends a value unless one waits already that was not received: it says as much.
func Offer[T any](to chan<- T, value T) {
	select {
	case to <- value:
	default:
	}
}
