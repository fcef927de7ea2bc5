package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/record"
)

func (c *cli) tailCmd() *cobra.Command {
	q := catalog.Query{}
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use:   "tail [EXPR...]",
		Short: "Show the newest calls, oldest first; -f follows",
		Long: `tail shows the newest calls that match, the newest one last. With -f it goes on with those
that arrive, as soon as they are acknowledged, until it is interrupted.
` + exprHelp,
		Example: `  indelible tail -f
  indelible tail -f status=failure --json
  indelible tail --limit 5 team=alpha`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Limit < 0 || q.Limit > catalog.MaxNewest {
				return &usageError{problem: fmt.Sprintf("--limit: want 0 to %d", catalog.MaxNewest)}
			}
			if err := checkExpr(args); err != nil {
				return err
			}
			q.Expr = args
			return c.withService(cmd.Context(), func(s control.Service) error {
				return c.tail(cmd.Context(), s, q, follow, asJSON)
			})
		},
	}
	cmd.Flags().IntVarP(&q.Limit, "limit", "n", 10, "how many of those that are there, the newest `N`")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with those that arrive")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value a line")
	return cmd
}

func (c *cli) tail(ctx context.Context, s control.Searcher, q catalog.Query, follow, asJSON bool) error {
	t := c.newHitTable(asJSON)
	st, err := s.Index(ctx) // what is newer than this comes by following
	if err != nil {
		return err
	}
	var newest []catalog.Hit
	var sum catalog.SearchSummary
	if q.Limit > 0 {
		sum, err = s.Search(ctx, q, func(h catalog.Hit) bool {
			newest = append(newest, h)
			return true
		})
		if err != nil {
			return err
		}
	}
	after := st.Newest
	for _, h := range slices.Backward(newest) {
		if after = max(after, h.Seq); !t.hit(h) {
			break
		}
	}
	if err := errors.Join(t.end(), c.tellSearch(sum, false)); err != nil || !follow {
		return err
	}
	return c.follow(ctx, s, q.Expr, after, t)
}

// follow shows what arrives until the process is interrupted.
func (c *cli) follow(ctx context.Context, s control.Searcher, expr []string, after record.Seq, t *hitTable) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := s.Follow(ctx, expr, after, func(h catalog.Hit) bool {
		if h.Unread != "" {
			fmt.Fprintf(c.stderr, "record %d is passed over: %s\n", h.Seq, h.Unread)
			return true
		}
		return t.hit(h) && t.end() == nil
	})
	switch {
	case t.failed != nil:
		return t.failed
	case ctx.Err() != nil:
		return nil // interrupted: that is how it ends
	}
	return err
}
