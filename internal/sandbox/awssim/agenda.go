package awssim

import (
	"context"
	"slices"
	"time"
)

// agenda holds what is to happen later, in order of time and, at equal times,
// of arrival. One loop works it off, so that a run with the same seed and the
// same calls always takes the same course; timers of their own would not.
type agenda struct {
	items []appointment
	wake  chan struct{}
}

type appointment struct {
	at time.Time
	do func()
}

func newAgenda() agenda { return agenda{wake: make(chan struct{}, 1)} }

// after runs do, under the lock, once d has passed.
func (s *Sim) after(d time.Duration, do func()) {
	at := time.Now().Add(d)
	i := len(s.agenda.items)
	for i > 0 && s.agenda.items[i-1].at.After(at) {
		i--
	}
	s.agenda.items = slices.Insert(s.agenda.items, i, appointment{at, do})
	select {
	case s.agenda.wake <- struct{}{}:
	default:
	}
}

// catchUp does all that is due. Calls do it first, so that an answer never
// shows less than what its time allows.
func (s *Sim) catchUp() {
	for now := time.Now(); len(s.agenda.items) > 0 && !s.agenda.items[0].at.After(now); {
		next := s.agenda.items[0]
		s.agenda.items = slices.Delete(s.agenda.items, 0, 1)
		next.do()
		s.remember()
		s.tell(nil)
	}
}

func (s *Sim) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.mu.Lock()
		s.catchUp()
		pause := time.Duration(-1)
		if len(s.agenda.items) > 0 {
			pause = time.Until(s.agenda.items[0].at)
		}
		s.mu.Unlock()

		timer.Stop()
		if pause >= 0 {
			timer.Reset(pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.agenda.wake:
		}
	}
}
