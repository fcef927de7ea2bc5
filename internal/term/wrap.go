package term

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Wrap breaks a line at spaces so that it fits into the terminal's width less the columns that are used
// before it, which also indent its further lines. Words are never broken, nor what stands in double quotes:
// it may be a command or a path that somebody copies. Without a terminal the line stays as it is.
func (s Style) Wrap(used int, line string) string {
	return wrap(s.width, used, line, strings.Repeat(" ", used))
}

// WrapCell is Wrap for a cell of a Table, which indents by itself.
func (s Style) WrapCell(used int, line string) string { return wrap(s.width, used, line, "") }

// Cut is a line without what does not fit into the terminal's width: a line that is to be written over must not
// run on into the next one.
func (s Style) Cut(line string) string {
	if s.width == 0 {
		return line
	}
	return text.Snip(line, s.width-1, "…")
}

// minText is the least room for text: with less, the terminal breaks the line.
const minText = 30

func wrap(width, used int, line, indent string) string {
	room := width - used
	if width == 0 || room < minText || text.StringWidthWithoutEscSequences(line) <= room {
		return line
	}
	var b strings.Builder
	at := 0 // columns taken of this line
	for i, word := range words(line) {
		n := text.StringWidthWithoutEscSequences(word)
		switch {
		case i == 0:
		case at+1+n > room:
			b.WriteString("\n" + indent)
			at = 0
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// words splits a line at its spaces, but for those between double quotes.
func words(line string) (list []string) {
	start, quoted := 0, false
	for i, r := range line {
		switch {
		case r == '"' && (quoted || strings.Contains(line[i+1:], `"`)):
			quoted = !quoted
		case r == ' ' && !quoted:
			list = append(list, line[start:i])
			start = i + 1
		}
	}
	return append(list, line[start:])
}
