package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/control"
)

func (c *cli) redriveCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "redrive",
		Short: "Bring quarantined records back into delivery",
		Long: `redrive has every record that was parked tried again: those that the store refused
for their own content (quarantined), and those that wait for their next turn (deferred).
Do it after you have changed what made the store refuse them.`,
		Example: "  indelible redrive",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withService(cmd.Context(), func(r control.Service) error {
				n, err := r.Redrive(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.stdout, map[string]int{"redriven": n})
				}
				_, err = fmt.Fprintf(c.stdout, "%d records are tried again; \"indelible status\" shows what becomes of them.\n", n)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}
