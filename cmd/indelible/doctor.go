package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/control"
	"indelible/internal/doctor"
	"indelible/internal/term"
)

func (c *cli) doctorCmd() *cobra.Command {
	var asJSON bool
	var litellm string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check disk, clock, ports and destination, with a remedy each",
		Long: `doctor checks what serve would stand on: whether the disk really syncs, free space, the
clock, the lock file, the ports, and the destination (credentials, bucket, conditional
writes, Object Lock). With --litellm it also reads LiteLLM's config.yaml: whether its audit log
comes here, and which of its settings lose records. It exits with status 1 if a check failed; warnings are no failure.`,
		Example: `  indelible doctor --to s3://audit/llm
  indelible doctor --litellm litellm/config.yaml
  indelible doctor --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.loadServe()
			if err == nil {
				if _, alive := control.Alive(cmd.Context(), l.Config.Data); alive {
					l, err = c.load() // what runs is examined, not what would
				}
			}
			if err != nil {
				return err
			}
			result := struct {
				OK     bool           `json:"ok"`
				Checks []doctor.Check `json:"checks"`
			}{OK: true}
			report := func(check doctor.Check) {
				result.OK = result.OK && check.State != doctor.Failed
				result.Checks = append(result.Checks, check)
				if !asJSON {
					c.printCheck(check)
				}
			}
			doctor.Run(cmd.Context(), l, report)
			if litellm != "" {
				doctor.LiteLLM(cmd.Context(), l, litellm, report)
			}
			if !asJSON {
				fmt.Fprintln(c.stdout, doctorSummary(result.Checks))
			}
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
	cmd.Flags().StringVar(&litellm, "litellm", "", "LiteLLM's config.yaml, a `FILE`: does it send its audit log here, and loses it none")
	c.bindServe(cmd)
	return cmd
}

// doctorSummary counts the findings.
func doctorSummary(checks []doctor.Check) string {
	n := map[string]uint64{}
	for _, c := range checks {
		n[c.State]++
	}
	text := fmt.Sprintf("%s: %d ok", count(uint64(len(checks)), "check"), n[doctor.OK])
	if w := n[doctor.Warning]; w > 0 {
		text += ", " + count(w, "warning")
	}
	return text + fmt.Sprintf(", %d failed", n[doctor.Failed])
}

// printCheck writes a finding, and its remedy on a line of its own.
func (c *cli) printCheck(check doctor.Check) {
	style := term.StyleOf(c.stdout)
	state := map[string]func(string) string{doctor.OK: style.Good, doctor.Warning: style.Warn, doctor.Failed: style.Bad}[check.State]
	const column = 29 // where the text begins
	fmt.Fprintf(c.stdout, "%s %-19s %s\n", state(fmt.Sprintf("%-8s", check.State)), check.Name, style.Wrap(column, term.Plain(term.Quote(check.Found))))
	if check.Remedy != "" {
		fmt.Fprintf(c.stdout, "%*s%s\n", column, "", "what to do: "+term.Quote(check.Remedy)) // in one line: it may be a command
	}
}
