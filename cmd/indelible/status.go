package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/term"
)

func (c *cli) statusCmd() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is acked, stored, proven and pending, and what is wrong",
		Example: `  indelible status
  indelible status --watch
  indelible status --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var last sample
			style := term.StyleOf(c.stdout)
			show := func(ctx context.Context, w io.Writer) error {
				return c.withService(ctx, func(r control.Service) error {
					s, err := r.Status(ctx)
					if err != nil {
						return err
					}
					if asJSON {
						return writeJSON(w, s)
					}
					now := sample{at: time.Now(), status: s}
					defer func() { last = now }()
					return printStatus(w, style, now, last)
				})
			}
			if !watch {
				return show(cmd.Context(), c.stdout)
			}
			return c.watch(cmd.Context(), asJSON, show)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value; with --watch one a line")
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second until interrupted")
	return cmd
}

const (
	watchEvery  = time.Second
	clearScreen = "\x1b[H\x1b[2J"
)

// watch shows the status every second, until an interrupt: exit status 0.
func (c *cli) watch(ctx context.Context, asJSON bool, show func(context.Context, io.Writer) error) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var b strings.Builder
		err := show(ctx, &b)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && asJSON:
			return err
		case err != nil: // a daemon that restarts is worth waiting for
			fmt.Fprintf(&b, "%v\n", err)
		}
		text := b.String()
		if !asJSON && term.IsTerminal(c.stdout) {
			text = clearScreen + text
		}
		if _, err := io.WriteString(c.stdout, text); err != nil {
			return err
		}
		if _, wrong := errors.AsType[*config.Error](err); wrong {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
