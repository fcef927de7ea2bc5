package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"indelible/internal/daemon"
)

func (c *cli) serveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the doors and the uploader until SIGINT, SIGTERM or SIGHUP",
		Long: `serve opens the doors, acknowledges each record once it is on the disk, and delivers it
to the destination. On SIGINT, SIGTERM or SIGHUP (a terminal that is closed) the doors stop
accepting, requests in flight are answered, and delivery goes on for shutdown.drain; a second
signal ends at once. What was acknowledged is never lost either way. Before the doors open,
the log in the destination is compared with the data directory: where they do not belong
together serve refuses, and names the command that leads out (docs/recovery.md).`,
		Example: `  indelible serve
  indelible serve --to s3://audit/llm --region eu-west-1
  INDELIBLE_S3_KEYS=id:secret indelible serve --s3 0.0.0.0:9000`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.loadServe()
			if err != nil {
				return err
			}
			// Whoever reads the log lines may end before us: then they are lost, and nothing else.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			context.AfterFunc(ctx, stop) // the second signal has its usual effect: the process ends
			return daemon.Serve(ctx, l, c.stderr)
		},
	}
	c.bindServe(cmd)
	return cmd
}
