// Package logging writes log lines: their form, their level, and equal warnings only so often.
package logging

import (
	"io"
	"log/slog"

	"indelible/internal/term"
)

// New writes log lines of a level ("debug" … "error") to w, as "text" or "json"; "" is text on a
// terminal, and else JSON. Equal warnings are thinned.
func New(format, level string, w io.Writer) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // a level that is none leaves the default
	o := &slog.HandlerOptions{Level: l}
	if format == "text" || format == "" && term.IsTerminal(w) {
		return slog.New(newThinHandler(slog.NewTextHandler(w, o)))
	}
	return slog.New(newThinHandler(slog.NewJSONHandler(w, o)))
}
