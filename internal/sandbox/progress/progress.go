// Package progress shows on a terminal, or in a file, how far something is. It does not know what.
package progress

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Line is a step on the way. A passing one is soon followed by a newer one of the same kind.
type Line struct {
	Text    string
	Passing bool
}

// passingEvery is how often a passing line is shown where lines cannot be overwritten.
const passingEvery = 20 * time.Second

// Printer shows lines with the time since its start. On a terminal passing lines overwrite one another.
type Printer struct {
	w        io.Writer
	terminal bool
	start    time.Time

	mu      sync.Mutex
	open    bool
	passing time.Time
}

// NewPrinter returns a printer that starts now.
func NewPrinter(w io.Writer, terminal bool) *Printer {
	now := time.Now()
	return &Printer{w: w, terminal: terminal, start: now, passing: now}
}

// Show prints a line, or leaves out a passing one that comes too soon.
func (p *Printer) Show(line Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	text := fmt.Sprintf("%6.1fs  %s", now.Sub(p.start).Seconds(), line.Text)
	switch {
	case p.terminal && line.Passing:
		fmt.Fprintf(p.w, "\r\033[K%s", text)
		p.open = true
	case line.Passing && now.Sub(p.passing) < passingEvery:
	case line.Passing:
		fmt.Fprintln(p.w, text)
		p.passing = now
	default:
		p.clear()
		fmt.Fprintln(p.w, text)
	}
}

// Close removes a passing line that nothing has overwritten.
func (p *Printer) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

func (p *Printer) clear() {
	if p.open {
		fmt.Fprint(p.w, "\r\033[K")
		p.open = false
	}
}

// IsTerminal tells whether lines in a file may be overwritten.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
