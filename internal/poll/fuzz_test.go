package poll_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// The pause between two looks is a parameter. Whatever it is, a day of waiting asks AWS no more often than it says, and
// after errors that go away by themselves less often.
func FuzzEveryIntervalLeavesPauses(f *testing.F) {
	for _, d := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 1000 * time.Hour} {
		f.Add(int64(d), true)
		f.Add(int64(d), false)
	}
	f.Fuzz(func(t *testing.T, nanoseconds int64, busy bool) {
		every := time.Duration(nanoseconds)
		if every < time.Second || every > 10000*time.Hour { // a million looks would show nothing more
			return
		}
		synctest.Test(t, func(t *testing.T) {
			const day = 24 * time.Hour
			ctx, cancel := context.WithTimeoutCause(t.Context(), day, errWindow)
			defer cancel()
			var log bytes.Buffer
			l := loop(&log)
			l.Interval = every
			answer := look{status: "waiting"}
			if busy {
				answer = look{err: errBusy}
			}
			s := &script{looks: []look{answer}}
			if err := l.Until(ctx, s.condition); err == nil {
				t.Fatal("it is never done")
			}
			if most := int(day/every) + 2; len(s.at) > most {
				t.Errorf("%d looks in a day at an interval of %s, at most %d", len(s.at), every, most)
			}
		})
	})
}
