package cli

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"
)

func logger(w io.Writer, o Options) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // checked by validate
	options := &slog.HandlerOptions{Level: level}
	if jsonLogs(w, o) {
		return slog.New(slog.NewJSONHandler(printableLines{w}, options))
	}
	return slog.New(slog.NewTextHandler(printableLines{w}, options))
}

func jsonLogs(w io.Writer, o Options) bool {
	return o.LogFormat == "json" || (o.LogFormat == "" && !terminal(w))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
