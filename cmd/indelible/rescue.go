package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"indelible/internal/engine"
	"indelible/internal/logging"
	"indelible/internal/record"
	"indelible/internal/setup"
)

func (c *cli) rescueCmd() *cobra.Command {
	var asJSON, always bool
	cmd := &cobra.Command{
		Use:   "rescue",
		Short: "Deliver pending records when their log can go no further",
		Long: `rescue is the way out when serve refuses a data directory: its log was forked (an old copy of
the directory was started, or two processes wrote one log), its key is lost, or its files do not
belong together. The pending records go into the bucket under a new log, whose first leaf says
from which log and record on they come; those that are there already are not stored twice. The
spool moves to rescued/<new log>/ in the data directory, and what belonged to the old log to old/
there. Afterwards the directory is as new: serve begins a log of its own.

It needs the data directory for itself, can be run again after it was cut short, at any point, and
changes nothing where nothing is wrong.`,
		Example: `  indelible rescue
  indelible rescue --data /var/lib/indelible --to s3://audit/llm`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			p := c.newProgress(always)
			rescued, err := setup.Rescue(ctx, l, logging.New(l.Config.Log.Format, l.Config.Log.Level, c.stderr), func(brought, left uint64) {
				p.show(record.Seq(brought), record.Seq(brought+left), 0)
			})
			p.clear()
			if errors.Is(err, engine.ErrHealthy) {
				fmt.Fprintln(c.stderr, err)
				err = nil
			}
			if asJSON {
				return errors.Join(writeJSON(c.stdout, append([]engine.Rescued{}, rescued...)), err)
			}
			return errors.Join(c.tellRescued(rescued), err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON array of what was rescued")
	bindProgress(cmd, &always)
	return cmd
}

// tellRescued says what became of each spool; its error says that records are left.
func (c *cli) tellRescued(rescued []engine.Rescued) error {
	var left error
	for _, r := range rescued {
		if r.First == 0 && r.Done {
			fmt.Fprintf(c.stdout, "log %s: no record was pending; serve begins a new log\n", r.From)
		} else {
			fmt.Fprintf(c.stdout, "log %s: %d records brought, %d left; they are in the log %s from record %d on\n", r.From, r.Brought, r.Left, r.Log, r.First)
			fmt.Fprintf(c.stdout, "  its public key  %s\n", filepath.Join(r.Dir, "log.vkey"))
		}
		fmt.Fprintf(c.stdout, "  the old files   %s\n", filepath.Join(r.Dir, "old"))
		if !r.Done {
			left = errors.Join(left, fmt.Errorf("%d records of log %s wait in %s: \"indelible ls --data %s\" shows them; run this again when what keeps them out is mended", r.Left, r.From, r.Dir, engine.ShellQuote(r.Dir)))
		}
	}
	return left
}
