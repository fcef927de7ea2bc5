package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
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
		Short: "Show what was acked, stored and proven, what is pending, and how the destination is",
		Example: `  indelible status
  indelible status --watch
  indelible status --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := func(ctx context.Context, w io.Writer) error {
				return c.withService(ctx, func(r control.Service) error {
					s, err := r.Status(ctx)
					if err != nil {
						return err
					}
					if asJSON {
						return writeJSON(w, s)
					}
					return printStatus(w, s, time.Now())
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

// remedies are what to do about each state of the destination.
var remedies = map[string]string{
	"throttled":     "nothing: it asks for less, and delivery goes at the pace it takes",
	"credentials":   "give serve credentials that may write there; \"indelible doctor\" tells which are used",
	"configuration": "check bucket, region and endpoint; \"indelible doctor\" tells what is wrong",
	"unreachable":   "check network and endpoint; records are kept here and delivered when it is back",
}

// slowSync is what no healthy disk needs for a sync, docs/operations.md says.
const slowSync = 100 * time.Millisecond

// ago is how long something is over. A clock that was set back may say that it is to come.
func ago(now, at time.Time) time.Duration { return max(0, now.Sub(at)).Round(time.Second) }

func printStatus(out io.Writer, s control.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	run := "not running: read from the data directory"
	if s.Running {
		run = fmt.Sprintf("running, process %d, version %s", s.PID, s.Version)
	}
	fmt.Fprintf(w, "daemon\t%s\n", run)
	fmt.Fprintf(w, "log\t%s\n", s.Log.Name)
	fmt.Fprintf(w, "records\t%d acked, %d stored, %d proven\n", s.Acked, s.Stored, s.Proven)
	pending := "nothing"
	if s.Pending > 0 {
		pending = fmt.Sprintf("%d records, %s, the oldest for %s", s.Pending, term.Bytes(s.PendingBytes), time.Duration(s.OldestPendingSeconds)*time.Second)
	}
	fmt.Fprintf(w, "pending\t%s\n", pending)
	if s.Quarantined+s.Deferred > 0 {
		fmt.Fprintf(w, "set aside\t%d quarantined, %d deferred: \"indelible ls\" shows them with the state, \"indelible get --attrs\" why, \"indelible redrive\" tries them again\n", s.Quarantined, s.Deferred)
	}
	fmt.Fprintf(w, "also\t%d re-sent, %d key collisions, %d gaps\n", s.Resent, s.Collisions, s.Gaps)
	d := s.Destination
	fmt.Fprintf(w, "destination\t%s\n", d.URL)
	state := d.State
	if !d.Since.IsZero() {
		state += fmt.Sprintf(" for %s", ago(now, d.Since))
	}
	fmt.Fprintf(w, "\t%s, %d in flight, %d retries\n", state, d.InFlight, d.Retries)
	if remedy := remedies[d.State]; remedy != "" {
		if d.LastError != "" {
			fmt.Fprintf(w, "\tlast error: %s\n", d.LastError)
		}
		fmt.Fprintf(w, "\twhat to do: %s\n", remedy)
	}
	fmt.Fprintf(w, "disk\tthe spool takes %s, %s free\n", term.Bytes(s.Disk.SpoolBytes), term.Bytes(s.Disk.FreeBytes))
	if s.Disk.SyncSeconds >= slowSync.Seconds() {
		fmt.Fprintf(w, "\tslow: the newest sync took %.1f s, and acks wait for syncs\n", s.Disk.SyncSeconds)
		fmt.Fprintf(w, "\twhat to do: see what else writes to this disk, and whether it is failing (\"indelible doctor\", dmesg), or put the data directory on a faster one\n")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Doors)) {
		door := s.Doors[name]
		last := "no record yet"
		if door.LastRecord != nil {
			last = fmt.Sprintf("last record %s ago", ago(now, *door.LastRecord))
		}
		fmt.Fprintf(w, "door %s\t%s: %d acked, %d refused, %s\n", name, door.Listen, door.Acked, door.Refused, last)
	}
	return w.Flush()
}
