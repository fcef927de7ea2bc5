package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
)

func (c *cli) litellmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "litellm",
		Short:   "Point LiteLLM here",
		Example: "  indelible litellm config",
	}
	config := &cobra.Command{
		Use:   "config",
		Short: "Print the block to paste into LiteLLM's configuration",
		Long: `config prints the block for LiteLLM's config.yaml that sends its audit log to the S3 door:
to the one that runs on this data directory, else to the one that is configured.`,
		Example: "  indelible litellm config >> config.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			block, err := daemon.LiteLLM(l)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.stdout, block)
			return err
		},
	}
	c.bindServe(config)
	cmd.AddCommand(config)
	return cmd
}
