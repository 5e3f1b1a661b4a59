package progress

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPassingLinesAreOverwrittenOnATerminalOnly(t *testing.T) {
	updates := []Line{
		{Text: "compiling 1", Passing: true}, {Text: "compiling 2", Passing: true}, {Text: "compiled"},
	}
	for _, tt := range []struct {
		name     string
		terminal bool
		want     string
	}{
		{"terminal", true, "\r\033[K   0.0s  compiling 1\r\033[K   0.0s  compiling 2\r\033[K   0.0s  compiled\n"},
		{"file", false, "   0.0s  compiled\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			p := NewPrinter(&out, tt.terminal)
			for _, u := range updates {
				p.Show(u)
			}
			p.Close()
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
