package poll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eks-recycle/eks-recycle/internal/poll"
)

const interval = 10 * time.Second

var (
	errBusy   = errors.New("busy")
	errBroken = errors.New("broken")
	errWindow = errors.New("the window ended")
)

// look is one answer of a condition.
type look struct {
	done   bool
	status string
	err    error
}

// script answers with one look after the other, and with the last one for ever. It notes when it was asked.
type script struct {
	looks []look
	at    []time.Duration
	began time.Time
}

func (s *script) condition(context.Context) (bool, string, error) {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	s.at = append(s.at, time.Since(s.began))
	l := s.looks[min(len(s.at), len(s.looks))-1]
	return l.done, l.status, l.err
}

func loop(log *bytes.Buffer) poll.Loop {
	plain := &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return poll.Loop{Interval: interval, Transient: func(err error) bool { return errors.Is(err, errBusy) }, Log: slog.New(slog.NewTextHandler(log, plain))}
}

func repeat(n int, l look) (looks []look) {
	for range n {
		looks = append(looks, l)
	}
	return looks
}

func TestUntil(t *testing.T) {
	done := look{done: true}
	for name, c := range map[string]struct {
		looks   []look
		asked   int
		atLeast time.Duration
		atMost  time.Duration
		err     error
		log     []string
	}{
		"done at once":      {[]look{done}, 1, 0, 0, nil, nil},
		"done after a time": {append(repeat(3, look{}), done), 4, 3 * interval, 39 * time.Second, nil, nil},
		"an error ends it":  {[]look{{}, {err: errBroken}}, 2, interval, 13 * time.Second, errBroken, nil},
		"a status is logged when it changes": {
			[]look{{status: "a"}, {status: "a"}, {status: "b"}, {}, {status: "b"}, {status: "a"}, done}, 7, 6 * interval, 78 * time.Second, nil,
			[]string{"level=INFO msg=waiting for=a", "level=INFO msg=waiting for=b", "level=INFO msg=waiting for=a"},
		},
		"transient errors are waited out with longer and longer pauses, and logged once": {
			append(repeat(5, look{err: fmt.Errorf("calling AWS: %w", errBusy)}), done), 6, 240 * time.Second, 312 * time.Second, nil, // 20+40+60+60+60
			[]string{`level=WARN msg="retrying with back-off" err="calling AWS: busy"`},
		},
		"after a transient error the pauses are short again": {
			[]look{{err: errBusy}, {status: "a"}, {status: "a"}, done}, 4, 40 * time.Second, 52 * time.Second, nil, // 20+10+10
			[]string{`level=WARN msg="retrying with back-off" err=busy`, "level=INFO msg=waiting for=a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := &script{looks: c.looks}
				before := time.Now()
				if err := loop(&log).Until(t.Context(), s.condition); !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if took := time.Since(before); len(s.at) != c.asked || took < c.atLeast || took > c.atMost {
					t.Errorf("asked %d times in %s, want %d times in %s to %s", len(s.at), took, c.asked, c.atLeast, c.atMost)
				}
				var lines []string
				if log.Len() > 0 {
					lines = strings.Split(strings.TrimSpace(log.String()), "\n")
				}
				if diff := cmp.Diff(c.log, lines); diff != "" {
					t.Errorf("log (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestUntilEndsWithItsContext(t *testing.T) {
	for name, c := range map[string]struct {
		looks []look
		want  string // of the error; empty: none
	}{
		"it says what it waited for last":    {[]look{{status: "three pods"}, {status: "two pods"}, {}}, "not done yet: two pods: the window ended"},
		"it has nothing to say":              {[]look{{}}, "not done yet: the window ended"},
		"it was retrying":                    {[]look{{status: "a"}, {err: errBusy}}, "not done yet: retrying: busy: the window ended"},
		"it is done in the very last moment": {append(repeat(4, look{}), look{done: true}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				window := time.Minute
				ctx, cancel := context.WithTimeoutCause(t.Context(), window, errWindow)
				defer cancel()
				s := &script{looks: c.looks}
				before := time.Now()
				err := loop(&bytes.Buffer{}).Until(ctx, s.condition)
				if c.want == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var notDone *poll.NotDoneError
				if !errors.As(err, &notDone) || !errors.Is(err, errWindow) || err.Error() != c.want {
					t.Errorf("error %v, want %s", err, c.want)
				}
				if took := time.Since(before); took != window {
					t.Errorf("it took %s", took)
				}
			})
		})
	}
}

func TestAConditionThatFailsBecauseTheContextEndedIsNotDone(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	err := loop(&bytes.Buffer{}).Until(ctx, func(ctx context.Context) (bool, string, error) {
		cancel(errWindow)
		return false, "", fmt.Errorf("calling AWS: %w", ctx.Err())
	})
	var notDone *poll.NotDoneError
	if !errors.As(err, &notDone) || !errors.Is(err, errWindow) {
		t.Errorf("error %v", err)
	}
}

func TestAConditionThatIsDoneThoughTheContextEndedIsDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := loop(&bytes.Buffer{}).Until(ctx, func(context.Context) (bool, string, error) { return true, "", nil }); err != nil {
		t.Error(err)
	}
}

// A step waits in a loop around its own waits: what an inner one says must come through.
func TestAnInnerWaitSpeaksForTheOuter(t *testing.T) {
	inner := &poll.NotDoneError{Status: "two pods", Cause: errWindow}
	calls := 0
	err := loop(&bytes.Buffer{}).Until(t.Context(), func(context.Context) (bool, string, error) {
		calls++
		return false, "", fmt.Errorf("draining: %w", inner)
	})
	var notDone *poll.NotDoneError
	if !errors.As(err, &notDone) || notDone != inner || calls != 1 {
		t.Errorf("error %v after %d calls", err, calls)
	}
}

func TestAWakeEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		l := loop(&bytes.Buffer{})
		l.Wake = wake
		s := &script{looks: []look{{}, {}, {done: true}}}
		go func() {
			time.Sleep(time.Second)
			wake <- struct{}{}
			time.Sleep(time.Second)
			wake <- struct{}{}
		}()
		if err := l.Until(t.Context(), s.condition); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]time.Duration{0, time.Second, 2 * time.Second}, s.at); diff != "" {
			t.Errorf("asked at (-want +got):\n%s", diff)
		}
	})
}

func TestLoopsThatStartTogetherSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := map[time.Duration]bool{}
		for range 20 {
			s := &script{looks: []look{{}, {done: true}}}
			if err := loop(&bytes.Buffer{}).Until(t.Context(), s.condition); err != nil {
				t.Fatal(err)
			}
			times[s.at[1]] = true
		}
		if len(times) < 15 {
			t.Errorf("twenty loops polled at %d different times", len(times))
		}
	})
}
