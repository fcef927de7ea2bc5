package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/query/filter"
	"indelible/internal/term"
)

const exprHelp = `EXPR is made of comparisons, such as team=alpha, model~gpt (contains), cost>0.1, since=24h, start>=2026-11-01,
and of words and phrases in quotes; all of them must hold. docs/search.md has the fields.`

func (c *cli) searchCmd() *cobra.Command {
	var q catalog.Query
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "search [EXPR...]",
		Short: "Find calls by field and text, newest first",
		Long: `search lists the calls that match, newest first: stored ones and those still on their way.
` + exprHelp + `
The local index answers; without one, and with --scan, every record is read.`,
		Example: `  indelible search team=alpha model~gpt status=failure since=24h "refund policy"
  indelible search 'cost>0.1 tokens_out>=1000' --limit 0 --json
  indelible search refund --scan`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Limit < 0 {
				return &usageError{problem: "--limit: want 0 or more"}
			}
			q.Expr = args
			if err := checkExpr(args); err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				return c.search(cmd.Context(), s, q, asJSON)
			})
		},
	}
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many, the newest `N`; 0: all")
	cmd.Flags().BoolVar(&q.Scan, "scan", false, "read every record and its whole body, and do not ask the index")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value a line")
	return cmd
}

// checkExpr says whether an expression can be read: a wrong one is a wrong call.
func checkExpr(args []string) error {
	_, err := filter.Parse(args, time.Now())
	if wrong, ok := errors.AsType[*filter.Error](err); ok {
		return &usageError{problem: wrong.Error()}
	}
	return err
}

func (c *cli) search(ctx context.Context, s control.Searcher, q catalog.Query, asJSON bool) error {
	t := c.newHitTable(asJSON)
	sum, err := s.Search(ctx, q, t.hit)
	if err := errors.Join(t.end(), err); err != nil {
		return err
	}
	if !asJSON {
		switch {
		case t.shown == 0:
			fmt.Fprintln(c.stderr, "Nothing matches.")
		case t.shown == q.Limit:
			fmt.Fprintf(c.stderr, "The newest %d; --limit 0 shows all.\n", t.shown)
		case t.shown == 1:
			fmt.Fprintln(c.stderr, "1 call.")
		default:
			fmt.Fprintf(c.stderr, "%d calls.\n", t.shown)
		}
	}
	return c.tellSearch(sum, q.Scan)
}

// slowRead is how many records are read one by one without a word.
const slowRead = 1000

// tellSearch says on stderr how an answer came about, where that is worth a word; an answer that lacks something is an error.
func (c *cli) tellSearch(sum catalog.SearchSummary, scan bool) error {
	switch {
	case sum.NoIndex != "":
		fmt.Fprintf(c.stderr, "%d records were read one by one, without the index: %s.\n", sum.Read, sum.NoIndex)
	case sum.Behind > slowRead && !scan:
		fmt.Fprintf(c.stderr, "%d records are not indexed yet: %d of them were looked through one by one, so the answer lacks nothing. The index has come to record %d and goes on by itself while a daemon runs.\n", sum.Behind, sum.Read, sum.Indexed)
	}
	if sum.Words == "fields" {
		fmt.Fprintln(c.stderr, "Words were looked for in the fields, and not in prompts and answers: --scan reads those, and \"index.text: body\" indexes them.")
	}
	if sum.Removed > 0 {
		fmt.Fprintf(c.stderr, "%d records were removed by policy, as the log says.\n", sum.Removed)
	}
	if sum.Missing != "" {
		return fmt.Errorf("the answer is not complete: %s (\"indelible status\" says how the destination is)", sum.Missing)
	}
	if sum.Unread > 0 {
		return fmt.Errorf("%d records could not be read or are lost, and were not looked at (\"indelible verify\" names what is lost)", sum.Unread)
	}
	return nil
}

// hitTable shows calls: as a table, or one JSON value a line.
type hitTable struct {
	c      *cli
	json   bool
	table  *term.Table
	style  term.Style
	shown  int
	failed error
}

func (c *cli) newHitTable(asJSON bool) *hitTable {
	style := term.StyleOf(c.stdout)
	header := []string{"SEQ", "TIME", "STATE", "STATUS", "MODEL", "TEAM", "TOKENS", "COST", "ID"}
	for i := range header {
		header[i] = style.Bold(header[i])
	}
	return &hitTable{c: c, json: asJSON, style: style, table: term.NewTable(header, 1, 7, 8)}
}

// hit shows one; false if it could not be written.
func (t *hitTable) hit(h catalog.Hit) bool {
	t.shown++
	if t.json {
		t.failed = writeJSON(t.c.stdout, h)
		return t.failed == nil
	}
	t.table.Row(t.cells(&h)...)
	if t.shown%lsFlush == 0 {
		t.failed = t.table.Flush(t.c.stdout)
	}
	return t.failed == nil
}

// end shows what is left.
func (t *hitTable) end() error {
	if t.failed == nil && !t.json && t.shown > 0 {
		t.failed = t.table.Flush(t.c.stdout)
	}
	return t.failed
}

func (t *hitTable) cells(h *catalog.Hit) []string {
	seq := fmt.Sprint(h.Seq)
	if h.Line > 0 {
		seq += "#" + strconv.Itoa(h.Line)
	}
	status := dash(h.Text("status"))
	if code := h.Text("error_code"); code != "" {
		status += " " + term.Quote(code)
	}
	if h.Text("status") == "failure" {
		status = t.style.Bad(status)
	}
	id := h.Text("id")
	if id == "" {
		id = h.Key
	}
	return []string{seq, h.Time.UTC().Format(time.RFC3339), stateText(h.State, t.style), status, dash(h.Text("model")), dash(h.Text("team")), tokens(h), cost(h), term.Quote(id)}
}

// dash is a text of a record for a table, "-" where there is none.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return term.Quote(s)
}

func tokens(h *catalog.Hit) string {
	in, out := number(h.Fields["tokens_in"]), number(h.Fields["tokens_out"])
	if in < 0 && out < 0 {
		return "-"
	}
	return fmt.Sprintf("%d+%d", max(int64(in), 0), max(int64(out), 0))
}

func cost(h *catalog.Hit) string {
	n := number(h.Fields["cost"])
	if _, ok := h.Fields["cost"]; !ok {
		return "-"
	}
	return money(n)
}

// money is an amount with as many digits as tell something.
func money(n float64) string {
	s := strconv.FormatFloat(n, 'f', 6, 64)
	s = strings.TrimRight(s, "0")
	if dot := strings.IndexByte(s, '.'); len(s)-dot < 3 {
		s += strings.Repeat("0", 3-len(s)+dot)
	}
	return s
}

// number is a field's number, whether it came through JSON or not; -1 where it is none.
func number(v any) float64 {
	switch n := v.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return -1
}
