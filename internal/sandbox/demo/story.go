package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// story writes lines of who did what, with the seconds since its start.
type story struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newStory(out io.Writer) *story { return &story{out: out, start: time.Now()} }

func (s *story) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%s\n%s\n", text, strings.Repeat("─", len([]rune(text))))
}

func (s *story) say(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.1fs  %-9s %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
}

func (s *story) check(held bool, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := "yes"
	if !held {
		mark = "NO "
	}
	fmt.Fprintf(s.out, "  %s  %s\n", mark, fmt.Sprintf(format, args...))
}
