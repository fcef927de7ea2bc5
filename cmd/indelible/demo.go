package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"indelible/internal/demo"
)

func (c *cli) demoCmd() *cobra.Command {
	var o demo.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show in a minute: outage, kill -9, nothing lost, tampering found",
		Long: `demo needs nothing but this program. It starts serve as a process of its own, with an S3
server in this process as the destination; sends records of made-up LLM calls; has S3
answer 503, takes it away, kills the daemon with -9 meanwhile, and brings both back; counts
in the bucket what is missing or there twice; verifies the log; flips one bit of a stored
record, and has verify name it. The same records go straight to S3, too, by senders with one
attempt and with three, and what these lose is counted in the same way.

It listens on loopback only, keeps everything in one temporary directory, and removes it at
its end and on Ctrl-C. It exits with 1 if anything came out otherwise than it should.`,
		Example: `  indelible demo
  indelible demo --stay
  indelible demo --fast --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program, to start it as a daemon: %w", err)
			}
			o.Binary, o.Out = self, c.stdout
			if asJSON {
				o.Out = io.Discard
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			r, err := demo.Run(ctx, o)
			if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) && !r.OK {
				fmt.Fprintln(c.stderr, "indelible: interrupted; the daemon is stopped, and nothing is left behind")
				return quietError{}
			}
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(c.stdout, r)
			}
			if err == nil && !r.OK {
				err = quietError{}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&o.Fast, "fast", false, "in about ten seconds, for tests")
	cmd.Flags().BoolVar(&o.Stay, "stay", false, "keep everything running at the end, until Ctrl-C")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value: what was measured")
	return cmd
}
