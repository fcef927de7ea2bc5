package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/config"
)

func (c *cli) configCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check and show the configuration",
		Example: "  indelible config check\n  indelible config print",
	}
	cmd.AddCommand(c.configCheckCmd(), c.configPrintCmd())
	return cmd
}

func (c *cli) configCheckCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check the configuration strictly, and name every mistake",
		Example: "  indelible config check --config /etc/indelible.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.loadServe()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.stdout, map[string]any{"ok": true, "file": l.File})
			}
			from := "no file, so flags, environment and defaults"
			if l.File != "" {
				from = l.File
			}
			_, err = fmt.Fprintf(c.stdout, "The configuration is good (%s).\n", from)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	c.bindServe(cmd)
	return cmd
}

func (c *cli) configPrintCmd() *cobra.Command {
	var asJSON, set bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show the configuration and the source of each value, secrets masked",
		Example: `  indelible config print
  indelible config print --set
  indelible config print --json --to s3://audit`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.loadServe()
			if err != nil {
				return err
			}
			if asJSON {
				byPath := map[string]config.Setting{}
				for _, s := range l.Settings() {
					if !set || s.Source.Kind != "default" {
						byPath[s.Path] = s
					}
				}
				return writeJSON(c.stdout, byPath)
			}
			return l.Print(c.stdout, set)
		},
	}
	cmd.Flags().BoolVar(&set, "set", false, "only what is not the default")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object: value and source of each setting")
	c.bindServe(cmd)
	return cmd
}

// bindServe adds the settings that are flags of serve, but for those whose name the command uses itself.
func (c *cli) bindServe(cmd *cobra.Command) {
	c.bind(cmd, cmd.Flags(), func(f config.Field) bool { return !f.Common && cmd.Flags().Lookup(f.Flag) == nil })
}
