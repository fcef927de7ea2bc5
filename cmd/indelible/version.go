package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"indelible/internal/version"
)

func (c *cli) versionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show version, commit, Go version and the formats written",
		Example: "  indelible version --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := version.Of()
			if asJSON {
				return writeJSON(c.stdout, v)
			}
			_, err := fmt.Fprintf(c.stdout, "indelible %s\ncommit    %s\ngo        %s %s/%s\nformats   spool %d\n",
				v.Version, v.Commit, v.Go, runtime.GOOS, runtime.GOARCH, v.Formats["spool"])
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}
