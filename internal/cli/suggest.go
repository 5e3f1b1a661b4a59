package cli

import (
	"slices"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// closest asks whether the known name was meant that is most like the given one, if it is very much so. The library's own
// suggestions know no limit: it has one for everything.
func closest(given string, known []string, prefix string) string {
	best, likeness := "", 0.85
	for _, name := range known {
		if l := smetrics.JaroWinkler(given, name, 0.7, 4); l > likeness { // as the library has it
			best, likeness = name, l
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + prefix + best + "? "
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
