package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
)

func (c *cli) doctorCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check disk, clock, lock, ports and destination, with a remedy for each fault",
		Long: `doctor checks what serve would stand on: whether the disk really syncs, free space, the
clock, the lock file, the ports, and the destination (credentials, bucket, conditional
writes, Object Lock). It exits with status 1 if a check failed; warnings are no failure.`,
		Example: `  indelible doctor --to s3://audit/llm
  indelible doctor --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.loadServe()
			if err != nil {
				return err
			}
			result := struct {
				OK     bool           `json:"ok"`
				Checks []daemon.Check `json:"checks"`
			}{OK: true}
			daemon.Doctor(cmd.Context(), l, func(check daemon.Check) {
				result.OK = result.OK && check.State != daemon.CheckFailed
				result.Checks = append(result.Checks, check)
				if !asJSON {
					c.printCheck(check)
				}
			})
			if asJSON {
				if err := writeJSON(c.stdout, result); err != nil {
					return err
				}
			}
			if !result.OK {
				return quietError{}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	c.bindServe(cmd)
	return cmd
}

func (c *cli) printCheck(check daemon.Check) {
	remedy := ""
	if check.Remedy != "" {
		remedy = ": " + check.Remedy
	}
	fmt.Fprintf(c.stdout, "%-8s %-12s %s%s\n", check.State, check.Name, check.Found, remedy)
}
