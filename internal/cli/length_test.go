package cli_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/eks-recycle/eks-recycle/internal/cli"
)

func TestDurationsMayHaveDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2d": 48 * time.Hour, "14d": 336 * time.Hour, "1d12h": 36 * time.Hour, "0d90s": 90 * time.Second, "90s": 90 * time.Second, "1h30m": 90 * time.Minute,
		"48h0m0s": 48 * time.Hour, "0": 0, "0s": 0, "": 0, "20000d": 480_000 * time.Hour,
	} {
		if got, ok := cli.ParseLength(text); !ok || got != want {
			t.Errorf("%q is %s, %t, want %s", text, got, ok, want)
		}
	}
}

func TestWhatIsNoDuration(t *testing.T) {
	for _, text := range []string{"2", "soon", "2w", "d", "-1h", "-2d", "2d-1h", "+2d", "1h2d", "1.5d", "2 d", "99999d", "60000d", "2540000h", "1d1d", "{{x}}"} {
		if got, ok := cli.ParseLength(text); ok {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func TestWhatGoWritesIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<61).Draw(t, "duration"))
		for _, text := range []string{d.String(), cli.ShortLength(d)} {
			if got, ok := cli.ParseLength(text); !ok || got != d {
				t.Errorf("%q is %s, %t", text, got, ok)
			}
		}
	})
}
