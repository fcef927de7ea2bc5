package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/control"
	"indelible/internal/record"
	"indelible/internal/term"
)

func (c *cli) rebuildCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make the local index anew from the bucket",
		Long: `rebuild takes <data>/index.db away and makes it anew: from the signed log and the records in
the destination, and from the spool what is still on its way. Records are acknowledged and
delivered all the while; search answers meanwhile, and is slower. With no daemon running
the data directory needs no more than log.vkey.`,
		Example: "  indelible rebuild",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withService(cmd.Context(), func(s control.Service) error {
				p := progress{c: c, begun: time.Now(), live: term.IsTerminal(c.stderr)}
				var last record.Seq
				err := s.Rebuild(cmd.Context(), func(done, of record.Seq) {
					last = done
					p.show(done, of)
				})
				p.clear()
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(c.stdout, map[string]any{"records": last, "seconds": time.Since(p.begun).Seconds()})
				}
				_, err = fmt.Fprintf(c.stdout, "The index knows all %d records.\n", last)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON value")
	return cmd
}

// progress shows how far something is: on a terminal in one line that changes, elsewhere now and then.
type progress struct {
	c     *cli
	begun time.Time
	live  bool
	told  time.Time
}

func (p *progress) show(done, of record.Seq) {
	every := 10 * time.Second
	if p.live {
		every = 200 * time.Millisecond
	}
	now := time.Now()
	if p.told.IsZero() {
		p.told = p.begun
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	rate := float64(done) / now.Sub(p.begun).Seconds()
	left := ""
	if rate > 0 {
		left = fmt.Sprintf(", %s left", time.Duration(float64(of-min(done, of))/rate*float64(time.Second)).Round(time.Second))
	}
	line := fmt.Sprintf("%d of %d records, %.0f a second%s", done, of, rate, left)
	if p.live {
		fmt.Fprintf(p.c.stderr, "\r%s\x1b[K", line)
	} else {
		fmt.Fprintln(p.c.stderr, line)
	}
}

func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.c.stderr, "\r\x1b[K")
	}
}
