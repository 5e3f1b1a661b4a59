package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/eks-recycle/eks-recycle/internal/sandbox"
)

// passingEvery is how often a passing line is shown where lines cannot be overwritten.
const passingEvery = 20 * time.Second

// printer shows progress with the time since the start. On a terminal passing lines overwrite one another.
type printer struct {
	w        io.Writer
	terminal bool
	start    time.Time

	mu      sync.Mutex
	open    bool
	passing time.Time
}

func newPrinter(std streams) *printer {
	now := time.Now()
	return &printer{w: std.err, terminal: std.terminal, start: now, passing: now}
}

func (p *printer) show(update sandbox.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	line := fmt.Sprintf("%6.1fs  %s", now.Sub(p.start).Seconds(), update.Text)
	switch {
	case p.terminal && update.Passing:
		fmt.Fprintf(p.w, "\r\033[K%s", line)
		p.open = true
	case update.Passing && now.Sub(p.passing) < passingEvery:
	case update.Passing:
		fmt.Fprintln(p.w, line)
		p.passing = now
	default:
		p.close()
		fmt.Fprintln(p.w, line)
	}
}

// close removes a passing line that nothing has overwritten.
func (p *printer) close() {
	if p.open {
		fmt.Fprint(p.w, "\r\033[K")
		p.open = false
	}
}
