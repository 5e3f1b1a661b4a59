package cli

import (
	"io"
	"log/slog"
	"os"
)

func logger(w io.Writer, o Options) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(o.LogLevel)) // checked by validate
	options := &slog.HandlerOptions{Level: level}
	if jsonLogs(w, o) {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func jsonLogs(w io.Writer, o Options) bool {
	return o.LogFormat == "json" || (o.LogFormat == "" && !terminal(w))
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
