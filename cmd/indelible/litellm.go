package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"indelible/integrations/litellm"
	"indelible/internal/local"
)

func (c *cli) litellmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "litellm",
		Short:   "Point LiteLLM here",
		Example: "  indelible litellm config",
	}
	var withCallback, throughProxy bool
	config := &cobra.Command{
		Use:   "config",
		Short: "Print the block to paste into LiteLLM's configuration",
		Long: `config prints the block for LiteLLM's config.yaml that sends its audit log here: through the
S3 door, or with --callback through the HTTP door, so that no answer is without a durable
record. With --proxy it prints what sends LiteLLM's calls through the recording proxy: the
wire then says what LiteLLM's own records leave out (docs/proxy.md). It speaks of the daemon that runs on this data directory, else of what is configured.
Where your file has litellm_settings already, paste what stands below it: of two, LiteLLM
reads one.`,
		Example: "  indelible litellm config\n  indelible litellm config --callback\n  indelible litellm config --proxy",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			block, err := local.LiteLLM(cmd.Context(), l, withCallback, throughProxy)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.stdout, block)
			return err
		},
	}
	config.Flags().BoolVar(&withCallback, "callback", false, "the callback's block, instead of s3_v2's")
	config.Flags().BoolVar(&throughProxy, "proxy", false, "api_base of each provider, through the recording proxy")
	c.bindServe(config)
	var out string
	callback := &cobra.Command{
		Use:   "callback",
		Short: "Print the callback with which LiteLLM's answers wait for their records",
		Long: `callback prints ` + litellm.CallbackName + `, a file for the directory of LiteLLM's config.yaml:
a caller that got its answer then has a durable record. Its head says how to load and set it.`,
		Example: "  indelible litellm callback > " + litellm.CallbackName,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			write := func(w io.Writer) error {
				_, err := w.Write(litellm.Callback)
				return err
			}
			if out == "" || out == "-" {
				return write(c.stdout)
			}
			return writeFile(out, write)
		},
	}
	callback.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, whole or not at all (where there is no shell)")
	cmd.AddCommand(config, callback)
	return cmd
}
