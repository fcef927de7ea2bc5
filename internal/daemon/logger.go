package daemon

import (
	"io"
	"log/slog"
	"os"
)

// newLogger writes our log lines to w: text on a terminal, else JSON, unless
// the configuration says which.
func newLogger(c Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked by Load
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "" && IsTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

// IsTerminal says whether people read what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
