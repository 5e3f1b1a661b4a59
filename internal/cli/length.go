package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/eks-recycle/eks-recycle/internal/hint"
)

// lengthFlag is a flag for a duration. Its value is read by parseLength, not by the library: days are taken, and what is
// wrong with a value becomes the step's result.
type lengthFlag struct {
	*cli.StringFlag
	otherwise time.Duration // if it is empty, as what Argo leaves out is
}

// length makes one whose default is a duration, 0 for none.
func length(name string, value time.Duration, usage string) cli.Flag {
	text := ""
	if value > 0 {
		text = shortLength(value)
	}
	return lengthFlag{&cli.StringFlag{Name: name, Value: text, Usage: usage + " (a `DURATION` like 90s, 20m, 36h, 14d or 1d12h)", EnvVars: env(name)}, value}
}

// shortLength leaves out the zeros that Go writes behind a duration.
func shortLength(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// checkLengths refuses durations that cannot be read, and zero where there is a default, but for a notice: 0 means that nobody
// knows it.
func checkLengths(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		f, ok := f.(lengthFlag)
		if !ok {
			continue
		}
		_, ok = parseLength(set(c, f.Name))
		if !ok || (f.otherwise > 0 && f.Name != "notice" && duration(c, f.Name) == 0) {
			return notALength(c, f.Name)
		}
	}
	return nil
}

func notALength(c *cli.Context, name string) error {
	return hint.Errorf("for example 90s, 20m, 36h, 14d or 1d12h", "--%s %q must be a positive duration", name, set(c, name))
}

// duration is the value of such a flag, once checkLengths has passed it, or 0 of one that the step does not have.
func duration(c *cli.Context, name string) time.Duration {
	text := set(c, name)
	for _, f := range c.Command.Flags {
		if f, ok := f.(lengthFlag); ok && f.Name == name && text == "" {
			return f.otherwise
		}
	}
	d, _ := parseLength(text)
	return d
}

// parseLength reads a duration that may begin with days. One that is negative, or longer than Go's can be, is none.
func parseLength(text string) (d time.Duration, ok bool) {
	const day = 24 * time.Hour
	before, rest, found := strings.Cut(text, "d")
	if !found {
		rest = text
	} else if days, err := strconv.ParseUint(before, 10, 16); err == nil && days < uint64(maxLength/day) {
		d = time.Duration(days) * day
	} else {
		return 0, false
	}
	if rest == "" {
		return d, true
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || more > maxLength {
		return 0, false
	}
	return d + more, true
}

// maxLength is such that two of them can be added.
const maxLength = 1<<62 - 1
