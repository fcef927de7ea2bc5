package demo

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"indelible/internal/term"
)

// narrator tells what happens, each line with the time since the start.
type narrator struct {
	w     io.Writer
	style term.Style
	live  bool // a terminal: progress is one line that changes
	began time.Time
}

func newNarrator(w io.Writer) *narrator {
	return &narrator{w: w, style: term.StyleOf(w), live: term.IsTerminal(w), began: time.Now()}
}

const clearLine = "\r\x1b[K"

// print writes lines as they are.
func (n *narrator) print(format string, args ...any) {
	if n.live {
		_, _ = io.WriteString(n.w, clearLine)
	}
	_, _ = fmt.Fprintf(n.w, format, args...) // who does not listen misses it
}

// at writes a line with the time.
func (n *narrator) at(format string, args ...any) {
	n.print("%s  %s\n", n.style.Faint(n.clock()), n.style.Wrap(8, fmt.Sprintf(format, args...)))
}

// progress shows how far it is until the next line, on a terminal only.
func (n *narrator) progress(format string, args ...any) {
	if n.live {
		_, _ = io.WriteString(n.w, clearLine+n.style.Faint(n.style.Cut(n.clock()+"  "+fmt.Sprintf(format, args...))))
	}
}

func (n *narrator) clock() string {
	s := int(time.Since(n.began).Seconds())
	return fmt.Sprintf("%3d:%02d", s/60, s%60)
}

// quote shows the output of a command.
func (n *narrator) quote(command, output string) {
	n.print("\n  %s\n", n.style.Bold("$ "+command))
	for line := range strings.Lines(output) {
		line = n.style.WrapCell(6, term.Quote(strings.TrimRight(line, "\n")))
		n.print("  %s %s\n", n.style.Faint("|"), strings.ReplaceAll(line, "\n", "\n  "+n.style.Faint("|")+"   "))
	}
}

// bar is as long as the share of n in all, and shows that there is something where there is.
func bar(n, all, width int) string {
	if n == 0 || all == 0 {
		return ""
	}
	return strings.Repeat("█", max(1, n*width/all))
}

// number groups digits: 1,234,567.
func number[T int | uint64](n T) string {
	s := strconv.FormatUint(uint64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
