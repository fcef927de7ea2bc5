// Package term is how text reaches people: whether a terminal reads it, how wide
// and how colourful that is, and what must not reach it as it stands.
package term

import (
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	xterm "golang.org/x/term"
)

// IsTerminal says whether a terminal shows what is written to w.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}

// Width is how many columns the terminal behind w has; 0 where there is none.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := xterm.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// Style colours text where w is a terminal and NO_COLOR is not set, and breaks lines where it is one.
type Style struct {
	on    bool
	width int // 0: not a terminal
}

// StyleOf is the style for what is written to w.
func StyleOf(w io.Writer) Style {
	return Style{on: IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", width: Width(w)}
}

// Good, Warn, Bad, Bold and Faint are the styles there are.
func (s Style) Good(t string) string  { return s.sgr(t, text.FgGreen) }
func (s Style) Warn(t string) string  { return s.sgr(t, text.FgYellow) }
func (s Style) Bad(t string) string   { return s.sgr(t, text.FgRed, text.Bold) }
func (s Style) Bold(t string) string  { return s.sgr(t, text.Bold) }
func (s Style) Faint(t string) string { return s.sgr(t, text.Faint) }

func (s Style) sgr(t string, colors ...text.Color) string {
	if !s.on || t == "" {
		return t
	}
	return text.Colors(colors).EscapeSeq() + t + text.Reset.EscapeSeq()
}

// Table is rows in aligned columns, without lines between them.
type Table struct {
	t table.Writer
}

// NewTable makes a table with a header; none has none. right are the columns, from 1,
// that are aligned to the right.
func NewTable(header []string, right ...int) *Table {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	var configs []table.ColumnConfig
	for _, n := range right {
		configs = append(configs, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(configs)
	if len(header) > 0 {
		t.AppendHeader(row(header))
	}
	return &Table{t}
}

// Row adds a row. Its cells have only the line breaks of WrapCell: give text from elsewhere through Quote.
func (t *Table) Row(cells ...string) { t.t.AppendRow(row(cells)) }

// Flush writes the table, and empties it, its header included.
func (t *Table) Flush(w io.Writer) error {
	defer func() { t.t.ResetRows(); t.t.ResetHeaders() }()
	if s := t.t.Render(); s != "" {
		_, err := io.WriteString(w, strings.TrimRight(s, " ")+"\n")
		return err
	}
	return nil
}

func row(cells []string) table.Row {
	r := make(table.Row, len(cells))
	for i, c := range cells {
		r[i] = c
	}
	return r
}
