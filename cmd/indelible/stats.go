package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/query/filter"
	"indelible/internal/query/index"
	"indelible/internal/term"
)

func (c *cli) statsCmd() *cobra.Command {
	var q catalog.StatsQuery
	var by string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats [EXPR...]",
		Short: "Sum up calls, tokens and cost by team, model or day",
		Long: `stats counts the calls that match, and sums up their tokens and their cost, by team, model,
day of arrival (UTC), or any other field that is a text.
` + exprHelp,
		Example: `  indelible stats
  indelible stats --by team,day since=7d
  indelible stats --by user team=alpha --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkExpr(args); err != nil {
				return err
			}
			q.Expr = args
			for name := range strings.SplitSeq(by, ",") {
				if name = strings.TrimSpace(name); name != "" {
					q.By = append(q.By, name)
				}
			}
			if err := checkDimensions(q.By); err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				return c.stats(cmd.Context(), s, q, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&by, "by", "team", "what to sum up by: `team,model,day` or others, in this order; \"\": everything together")
	cmd.Flags().BoolVar(&q.Scan, "scan", false, "read every record, and do not ask the index")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value a line")
	return cmd
}

func checkDimensions(by []string) error {
	known := []string{index.Day}
	for _, f := range filter.Fields() {
		if index.Dimension(f.Name) {
			known = append(known, f.Name)
		}
	}
	for _, name := range by {
		if index.Dimension(name) {
			continue
		}
		e := &usageError{problem: fmt.Sprintf("--by: there is no %q to sum up by", name), hint: "Known are " + strings.Join(known, ", ") + "."}
		if near := config.Suggest(name, known); near != "" {
			e.hint = fmt.Sprintf("Did you mean %q?", near)
		}
		return e
	}
	return nil
}

func (c *cli) stats(ctx context.Context, s control.Searcher, q catalog.StatsQuery, asJSON bool) error {
	sums, sum, err := s.Stats(ctx, q)
	if err != nil {
		return err
	}
	if asJSON {
		err = c.statsJSON(q.By, sums)
	} else {
		err = c.statsTable(q.By, sums)
	}
	if err != nil {
		return err
	}
	return c.tellSearch(sum, q.Scan)
}

func (c *cli) statsJSON(by []string, sums []index.Sum) error {
	for _, s := range sums {
		row := map[string]any{"calls": s.Calls, "tokens_in": s.TokensIn, "tokens_out": s.TokensOut, "cost": s.Cost}
		for i, name := range by {
			row[name] = s.By[i]
		}
		if err := writeJSON(c.stdout, row); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) statsTable(by []string, sums []index.Sum) error {
	style := term.StyleOf(c.stdout)
	var header []string
	for _, name := range append(append([]string(nil), by...), "calls", "tokens in", "tokens out", "cost") {
		header = append(header, style.Bold(strings.ToUpper(name)))
	}
	n := len(by)
	table := term.NewTable(header, n+1, n+2, n+3, n+4)
	total := index.Sum{By: make([]string, n)}
	row := func(s index.Sum) {
		var cells []string
		for _, v := range s.By {
			cells = append(cells, dash(v))
		}
		table.Row(append(cells, strconv.FormatInt(s.Calls, 10), strconv.FormatInt(s.TokensIn, 10), strconv.FormatInt(s.TokensOut, 10), money(s.Cost))...)
	}
	for _, s := range sums {
		row(s)
		total.Add(s)
	}
	if len(sums) == 0 {
		fmt.Fprintln(c.stderr, "Nothing matches.")
		return nil
	}
	if n > 0 && len(sums) > 1 {
		total.By[0] = "total"
		row(total)
	}
	return table.Flush(c.stdout)
}
