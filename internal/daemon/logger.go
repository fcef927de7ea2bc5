package daemon

import (
	"io"
	"log/slog"

	"indelible/internal/config"
	"indelible/internal/term"
)

// newLogger writes our log lines to w: text on a terminal, else JSON, unless
// the configuration says which. Equal warnings are thinned.
func newLogger(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // checked by Load
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" || c.Format == "" && term.IsTerminal(w) {
		return slog.New(newThinHandler(slog.NewTextHandler(w, o)))
	}
	return slog.New(newThinHandler(slog.NewJSONHandler(w, o)))
}
