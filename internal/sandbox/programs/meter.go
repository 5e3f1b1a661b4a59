package programs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// The time left is estimated once this much of the source is compiled, after at least this long.
const (
	shareBeforeEstimate = 0.03
	timeBeforeEstimate  = 15 * time.Second
)

// perPackage is what a package costs whatever its size, in bytes of source that compile in the same time: small packages take
// longer for their size.
const perPackage = 50_000

// meter says how far a build is, and estimates how long it will take from the number of packages and the size of their source.
type meter struct {
	show func(line string)

	mu      sync.Mutex
	left    map[string]int64 // what the packages that are to be compiled cost, in bytes of source
	named   map[string]bool  // packages that have been compiled
	first   time.Time        // when the first one had been
	all     int64
	leftSum int64
}

func newMeter(show func(string)) *meter {
	return &meter{show: show, left: map[string]int64{}, named: map[string]bool{}}
}

// expect adds what the programs of a module are made of and the go command's cache lacks. Without an answer there is no
// estimate; whatever is wrong, the build itself will say.
func (m *meter) expect(ctx context.Context, gc toolchain, programs module, dir string) {
	const format = `{{if .Stale}}{{.ImportPath}}|{{.Dir}}|{{range .GoFiles}}{{.}} {{end}}{{end}}`
	list, err := gc.run(ctx, dir, append([]string{"list", programs.mode(), "-deps", "-f", format}, programs.packages()...)...)
	if err != nil {
		return
	}
	lines := bufio.NewScanner(strings.NewReader(list))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "|")
		if len(fields) != 3 {
			continue
		}
		var bytes int64
		for file := range strings.FieldsSeq(fields[2]) {
			if info, err := os.Stat(filepath.Join(fields[1], file)); err == nil {
				bytes += info.Size()
			}
		}
		m.add(fields[0], bytes)
	}
}

// add takes note of a package that is to be compiled, once, whichever programs it is for.
func (m *meter) add(pkg string, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.left[pkg]; known || m.named[pkg] {
		return
	}
	cost := bytes + perPackage
	m.left[pkg] = cost
	m.all += cost
	m.leftSum += cost
}

// compiled takes note of a package that has been compiled.
func (m *meter) compiled(pkg string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.named[pkg] = true
	m.leftSum -= m.left[pkg]
	delete(m.left, pkg)
	if m.first.IsZero() {
		m.first = time.Now()
	}
	m.show(m.line())
}

func (m *meter) line() string {
	line := fmt.Sprintf("compiling: %d packages done, %d to go", len(m.named), len(m.left))
	done, elapsed := m.all-m.leftSum, time.Since(m.first)
	if len(m.left) == 0 || elapsed < timeBeforeEstimate || float64(done) < shareBeforeEstimate*float64(m.all) {
		return line
	}
	return line + ", " + roughly(time.Duration(float64(m.leftSum)/float64(done)*float64(elapsed))) + " left"
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
