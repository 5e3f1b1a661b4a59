package timeline

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// chart is the capacity of one group, drawn in a box of boxWidth by boxHeight that is stretched to the plot.
type chart struct {
	Name, Said, Short string
	InService         string // paths
	Desired           string
	Area              string
	Below             []lack
	Levels            []level
}

// lack is where InService is below desired, in percent.
type lack struct {
	X, Width, Y, Height float64
	Tip                 string
}

type level struct {
	Y     float64
	Label int
}

const (
	boxWidth  = 1000
	boxHeight = 100
)

// piece is a stretch in which nothing changes.
type piece struct {
	Point
	until time.Time
}

func newChart(g Group, s scale, c clock) chart {
	out := chart{Name: g.Name, Said: "unknown"}
	all := pieces(g.Points, s)
	if len(all) == 0 {
		return out
	}
	most, lowest, below := 0, all[0], time.Duration(0)
	for _, p := range all {
		most = max(most, p.InService, p.Desired)
		if p.InService < p.Desired {
			below += p.until.Sub(p.At)
			if lowest.InService >= lowest.Desired || p.InService-p.Desired < lowest.InService-lowest.Desired {
				lowest = p
			}
		}
	}
	step := levelStep(most)
	top := max(step, (most+step-1)/step*step)
	for n := 0; n <= top; n += step {
		out.Levels = append(out.Levels, level{round(100 - 100*float64(n)/float64(top)), n})
	}
	y := func(n int) float64 { return round(boxHeight - boxHeight*float64(max(0, n))/float64(top)) }
	x := func(t time.Time) float64 { return round(s.at(t) * boxWidth / 100) }
	out.InService = path(all, x, y, func(p Point) int { return p.InService })
	out.Desired = path(all, x, y, func(p Point) int { return p.Desired })
	out.Area = fmt.Sprintf("%sV%dH%gZ", out.InService, boxHeight, x(all[0].At))
	for _, p := range all {
		if p.InService < p.Desired {
			out.Below = append(out.Below, newLack(p, s, c, y))
		}
	}
	last := all[len(all)-1]
	out.Short = fmt.Sprintf("%d of %d", last.InService, last.Desired)
	out.Said = "never below desired"
	if below > 0 {
		out.Said = fmt.Sprintf("lowest %d of %d, below desired for %s", lowest.InService, lowest.Desired, duration(below))
	}
	return out
}

// leastHeight keeps one instance of a hundred visible, in percent of the chart.
const leastHeight = 12

func newLack(p piece, s scale, c clock, y func(int) float64) lack {
	e := spread([]extent{{s.at(p.At), s.at(p.until)}})[0]
	top := y(p.Desired)
	return lack{
		X: round(e.From), Width: round(e.Width()), Y: top, Height: round(math.Max(leastHeight, y(p.InService)-top)),
		Tip: fmt.Sprintf("%d of %d InService, %s", p.InService, p.Desired, c.between(p.At, p.until, p.until)),
	}
}

// pieces are what the points say of the interval of the page. The last point holds until that was drawn.
func pieces(points []Point, s scale) []piece {
	var all []piece
	limit := s.until
	if s.drawn.Before(limit) && s.drawn.After(s.from) {
		limit = s.drawn
	}
	for i, p := range points {
		until := limit
		if i+1 < len(points) && points[i+1].At.Before(limit) {
			until = points[i+1].At
		}
		if p.At.Before(s.from) {
			p.At = s.from
		}
		if until.After(p.At) {
			all = append(all, piece{p, until})
		}
	}
	return all
}

func path(all []piece, x func(time.Time) float64, y func(int) float64, of func(Point) int) string {
	var b strings.Builder
	for i, p := range all {
		if i == 0 {
			fmt.Fprintf(&b, "M%g %g", x(p.At), y(of(p.Point)))
		} else if of(p.Point) != of(all[i-1].Point) {
			fmt.Fprintf(&b, "H%gV%g", x(p.At), y(of(p.Point)))
		}
	}
	fmt.Fprintf(&b, "H%g", x(all[len(all)-1].until))
	return b.String()
}

// levelStep leaves at most four lines above zero.
func levelStep(most int) int {
	for size := 1; ; size *= 10 {
		for _, step := range []int{size, 2 * size, 5 * size} {
			if most <= 4*step {
				return step
			}
		}
	}
}
