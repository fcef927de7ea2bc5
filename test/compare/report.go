package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// print writes the figures as tables of Markdown.
func (f figures) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...any) {
		fmt.Fprintln(t, "| "+strings.TrimSuffix(fmt.Sprintln(joined(cells)...), "\n")+"\t|")
	}
	row("accident", "what, and how it is set", "sent", "acked", "acked meanwhile", "lost", "twice", "damaged")
	row("---", "---", "---", "---", "---", "---", "---", "---")
	for _, o := range f.Accidents {
		if o.Failed != "" && o.Sent == 0 {
			row(o.Accident, o.Peer+", "+o.Setting, "", "", "", first(o.Failed), "", "")
			continue
		}
		row(o.Accident, o.Peer+", "+o.Setting, o.Sent, o.Acked, o.AckedMeanwhile, o.Lost, o.Twice, o.Damaged)
	}
	_ = t.Flush() // standard output; there is nobody to tell
	for _, o := range f.Accidents {
		if o.Failed != "" && o.Sent > 0 {
			fmt.Fprintf(w, "\n%s, %s, %s: %s\n", o.Accident, o.Peer, o.Setting, o.Failed)
		}
	}
	if len(f.Speeds) == 0 {
		return
	}
	fmt.Fprintln(w)
	row("what, and how it is set", "S3", "acked", "acks/s", "p50 ms", "p99 ms", "CPU for a record, us", "lost", "twice")
	row("---", "---", "---", "---", "---", "---", "---", "---", "---")
	for _, s := range f.Speeds {
		name := s.Peer + ", " + s.Setting
		if s.Failed != "" {
			row(name, "", "", first(s.Failed), "", "", "", "", "")
			continue
		}
		if s.Away.Acked > 0 {
			row(append([]any{name, "away"}, s.Away.cells("", "")...)...)
		}
		row(append([]any{name, "there"}, s.There.cells(s.Lost, s.Twice)...)...)
	}
	_ = t.Flush()
}

func (p pace) cells(lost, twice any) []any {
	return []any{p.Acked, fmt.Sprintf("%.0f", p.Rate), fmt.Sprintf("%.1f", p.P50), fmt.Sprintf("%.1f", p.P99), fmt.Sprintf("%.0f", p.CPU), lost, twice}
}

// joined puts the table's separators between cells.
func joined(cells []any) []any {
	var out []any
	for i, c := range cells {
		if i > 0 {
			out = append(out, "\t|")
		}
		out = append(out, c)
	}
	return out
}

func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// wrong is what must not be: Indelible loses nothing and keeps nothing twice.
func (f figures) wrong() error {
	for _, o := range f.Accidents {
		if o.Peer == "Indelible" && (o.Lost > 0 || o.Twice > 0 || o.Damaged > 0 || o.Unsent > 0 || o.Failed != "" || o.Acked == 0) {
			return fmt.Errorf("%s: Indelible: %+v", o.Accident, o)
		}
	}
	return nil
}
