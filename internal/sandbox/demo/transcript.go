package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// transcript writes lines of who did what, with the seconds since its start.
type transcript struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newTranscript(out io.Writer) *transcript { return &transcript{out: out, start: time.Now()} }

func (s *transcript) title(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "\n%s\n%s\n", text, strings.Repeat("─", len([]rune(text))))
}

func (s *transcript) say(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "%6.1fs  %-9s %s\n", time.Since(s.start).Seconds(), who, fmt.Sprintf(format, args...))
}

func (s *transcript) check(held bool, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mark := "yes"
	if !held {
		mark = "NO "
	}
	fmt.Fprintf(s.out, "  %s  %s\n", mark, fmt.Sprintf(format, args...))
}
