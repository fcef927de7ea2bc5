package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"indelible/integrations/litellm"
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
	callback := &cobra.Command{
		Use:   "callback",
		Short: "Print the callback with which LiteLLM's answers wait for their records",
		Long: `callback prints ` + litellm.CallbackName + `, a file for the directory of LiteLLM's config.yaml:
a caller that got its answer then has a durable record. Its head says how to load and set it.`,
		Example: "  indelible litellm callback > " + litellm.CallbackName,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := c.stdout.Write(litellm.Callback)
			return err
		},
	}
	cmd.AddCommand(config, callback)
	return cmd
}
