package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/control"
	"indelible/internal/record"
)

func (c *cli) rebuildCmd() *cobra.Command {
	var asJSON, always bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Rebuild the local index from the bucket",
		Long: `rebuild takes <data>/index.db away and rebuilds it: from the signed log and the records in
the destination, and from the spool what is still on its way. Records are acknowledged and
delivered all the while; search answers meanwhile, and is slower. With no daemon running
the data directory needs no more than log.vkey.`,
		Example: "  indelible rebuild",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withService(cmd.Context(), func(s control.Service) error {
				p := c.newProgress(always)
				var last record.Seq
				err := s.Rebuild(cmd.Context(), func(done, of record.Seq) {
					last = done
					p.show(done, of, 0)
				})
				p.clear()
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.stdout, map[string]any{"records": last, "seconds": time.Since(p.begun).Seconds()})
				}
				_, err = fmt.Fprintf(c.stdout, "The index knows all %d records.\n", last)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	bindProgress(cmd, &always)
	return cmd
}
