package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// printable shows what a terminal would obey rather than print: names, tags and messages are others' to write. A rune that does
// not print becomes its escape in Go and, where it stands in a string, in JSON, such as \u001b. So does a line break: what
// follows it would read as a line of the program.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// printableLines makes the lines printable that are written to it, each by one Write, as slog does. Its text escapes all but
// U+007F, its JSON what is below U+0020.
type printableLines struct{ io.Writer }

func (p printableLines) Write(line []byte) (int, error) {
	if _, err := fmt.Fprintln(p.Writer, printable(strings.TrimSuffix(string(line), "\n"))); err != nil {
		return 0, err
	}
	return len(line), nil
}
