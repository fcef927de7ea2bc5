package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
	"indelible/internal/term"
)

func (c *cli) lsCmd() *cobra.Command {
	var bucket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [PREFIX]",
		Short: "List keys with seq, time, size and state",
		Long: `ls lists the records whose keys start with PREFIX, or all: those that are stored, and
those that are acknowledged and still on their way.`,
		Example: `  indelible ls 2026-11-24/
  indelible ls --bucket audit --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one PREFIX, but got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			prefix := ""
			if len(args) == 1 {
				prefix = args[0]
			}
			return c.withReader(cmd.Context(), func(r daemon.Reader) error {
				return c.ls(cmd.Context(), r, bucket, prefix, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&bucket, "bucket", "", "the `BUCKET` that the sender used (default: all)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value a line")
	return cmd
}

// lsFlush is after how many rows a list is shown: columns are aligned within that many.
const lsFlush = 500

func (c *cli) ls(ctx context.Context, r daemon.Reader, bucket, prefix string, asJSON bool) error {
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	n := 0
	for row, err := range r.List(ctx, bucket, prefix) {
		if err != nil {
			_ = table.Flush()
			return err
		}
		if asJSON {
			if err := writeJSON(c.stdout, row); err != nil {
				return err
			}
			continue
		}
		seq := "-"
		if row.Seq > 0 {
			seq = fmt.Sprint(row.Seq)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", seq, row.Time.UTC().Format(time.RFC3339), term.Bytes(row.Size), row.State, row.Bucket, row.Key)
		if n++; n%lsFlush == 0 {
			if err := table.Flush(); err != nil {
				return err
			}
		}
	}
	return table.Flush()
}
