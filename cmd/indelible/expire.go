package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/control"
	"indelible/internal/engine"
	"indelible/internal/record"
	"indelible/internal/term"
)

func (c *cli) expireCmd() *cobra.Command {
	var dry, asJSON, always bool
	cmd := &cobra.Command{
		Use:   "expire",
		Short: "Remove records that are older than destination.retain, provably",
		Long: `expire says in the signed log which records are removed by policy: those that arrived more than
destination.retain ago. Only once a published checkpoint covers that, their objects and packs are removed:
in a directory by this call; in a bucket by its lifecycle rule, which doctor shows and checks.
Run it from cron, once a day.

It touches nothing that is unproven, younger, parked, or not what the log says; what it leaves for
that reason is named, and the status is 1. A call that was cut short is finished by the next.`,
		Example: `  indelible expire --dry-run
  indelible expire`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withService(cmd.Context(), func(s control.Service) error {
				p := c.newProgress(always)
				x, err := s.Expire(cmd.Context(), dry, func(done, of record.Seq) { p.show(done, of, 0) })
				p.clear()
				if err != nil {
					return err
				}
				if asJSON {
					err = writeJSON(c.stdout, x)
				} else {
					c.tellExpired(&x, dry)
				}
				if err == nil && len(x.Kept) > 0 {
					err = quietError{}
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say which records it would be")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	bindProgress(cmd, &always)
	return cmd
}

func (c *cli) tellExpired(x *engine.Expired, dry bool) {
	verb := "are removed by policy, as the log says from now on"
	if dry {
		verb = "would be removed"
	}
	fmt.Fprintf(c.stdout, "%d records that arrived before %s %s\n", x.Records, x.Before.Format("2006-01-02 15:04 UTC"), verb)
	for _, r := range x.Ranges {
		fmt.Fprintf(c.stdout, "  %d to %d\n", r.First, r.Last)
	}
	switch {
	case dry:
	case x.Rule:
		fmt.Fprintln(c.stdout, "The bucket's lifecycle rule removes their objects: \"indelible doctor\" shows and checks it.")
	default:
		fmt.Fprintf(c.stdout, "%d objects (%s) are removed\n", x.Objects, term.Bytes(x.Bytes))
	}
	for _, k := range x.Kept {
		fmt.Fprintf(c.stderr, "kept: %s: %s\n", term.Quote(k.Key), term.Quote(k.Reason))
	}
}
