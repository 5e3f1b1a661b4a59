package cli

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// closest asks whether the known name was meant that is the fewest typing errors away, if they are few.
func closest(given string, known []string, prefix string) string {
	most := 1 + len(given)/4
	best, distance := "", most+1
	for _, name := range known {
		if d := typos(given, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + prefix + best + "? "
}

// typos is how many characters are to be put in, left out, changed or swapped with the next one to make b of a.
func typos(a, b string) int {
	before, row := []int(nil), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			changed := row[j]
			if a[i] != b[j] {
				changed++
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, changed)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// flagNames are those that help shows.
func flagNames(flags []cli.Flag) (names []string) {
	for _, f := range flags {
		if v, ok := f.(cli.VisibleFlag); !ok || v.IsVisible() {
			names = append(names, f.Names()[0])
		}
	}
	slices.Sort(names)
	return names
}
