package components

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// settled is how long the speed of compiling is measured before the time left is estimated from it.
const settled = 15 * time.Second

// meter says how far a build is, and estimates how long it will take. The size of a package's source stands for the
// time that it takes to compile.
type meter struct {
	show func(line string)

	mu      sync.Mutex
	lanes   []*lane
	known   map[string]bool
	first   time.Time // when the first package had been compiled
	count   int
	bytes   int64
	started int64 // bytes at first
}

// lane is a sequence of packages that are compiled one after another, more or less: the go command compiles in the order
// in which it lists dependencies, leaving out what its cache holds.
type lane struct {
	meter    *meter
	packages []source
	at       map[string]int
	next     int
}

// source is one package and the bytes of Go in it.
type source struct {
	path  string
	bytes int64
}

func (m *meter) lane() *lane {
	l := &lane{meter: m, at: map[string]int{}}
	m.lanes = append(m.lanes, l)
	return l
}

// expect adds what the programs of a module are made of to what the lane is going to compile.
func (l *lane) expect(ctx context.Context, gc toolchain, m module, dir string) error {
	args := []string{"list", m.mode(), "-deps", "-f", `{{.ImportPath}}|{{.Dir}}|{{range .GoFiles}}{{.}} {{end}}`}
	list, err := gc.run(ctx, dir, append(args, m.packages()...)...)
	if err != nil {
		return fmt.Errorf("listing packages: %w\n%s", err, list)
	}
	var packages []source
	lines := bufio.NewScanner(strings.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "|")
		if len(fields) != 3 {
			continue
		}
		s := source{path: fields[0]}
		for file := range strings.FieldsSeq(fields[2]) {
			if info, err := os.Stat(filepath.Join(fields[1], file)); err == nil {
				s.bytes += info.Size()
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("measuring package %q: %w", s.path, err)
			}
		}
		packages = append(packages, s)
	}
	l.add(packages)
	return lines.Err()
}

// add leaves out what is compiled for another program before.
func (l *lane) add(packages []source) {
	m := l.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]bool{}
	}
	for _, s := range packages {
		if m.known[s.path] {
			continue
		}
		m.known[s.path] = true
		l.at[s.path] = len(l.packages)
		l.packages = append(l.packages, s)
	}
}

// compiled takes note of a package that has been compiled.
func (l *lane) compiled(path string) {
	m := l.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	if at, ok := l.at[path]; ok {
		m.bytes += l.packages[at].bytes
		l.next = max(l.next, at+1)
	}
	if m.first.IsZero() {
		m.first, m.started = time.Now(), m.bytes
	}
	m.show(m.line())
}

func (m *meter) line() string {
	packages, bytes := 0, int64(0)
	for _, l := range m.lanes {
		for _, s := range l.packages[l.next:] {
			packages++
			bytes += s.bytes
		}
	}
	line := fmt.Sprintf("compiling: %d packages done, at most %d to go", m.count, packages)
	if elapsed := time.Since(m.first); elapsed >= settled && m.bytes > m.started {
		left := time.Duration(float64(bytes) / float64(m.bytes-m.started) * float64(elapsed))
		line += ", " + roughly(left) + " left"
	}
	return line
}

// roughly is a duration as precise as the estimate is.
func roughly(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	minutes := int(d.Round(time.Minute).Minutes())
	if minutes == 1 {
		return "about a minute"
	}
	return fmt.Sprintf("about %d minutes", minutes)
}
