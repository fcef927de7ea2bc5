// Package term is how text reaches people: whether a terminal reads it, how
// wide and how colourful it is, and what must not reach it as it stands.
package term

import (
	"io"
	"os"

	xterm "golang.org/x/term"
)

// IsTerminal says whether a terminal shows what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}
