package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/record"
	"indelible/internal/term"
)

// bindProgress adds --progress.
func bindProgress(cmd *cobra.Command, always *bool) {
	cmd.Flags().BoolVar(always, "progress", false, "tell how far it is also when stderr is no terminal")
}

// progress shows how far something is: on a terminal in one line that changes, elsewhere only if
// that was asked for, as a line now and then.
type progress struct {
	c     *cli
	begun time.Time
	live  bool          // stderr is a terminal
	every time.Duration // 0: never
	told  time.Time
}

func (c *cli) newProgress(always bool) *progress {
	p := &progress{c: c, begun: time.Now(), live: term.IsTerminal(c.stderr)}
	switch p.told = p.begun; {
	case p.live:
		p.every = 200 * time.Millisecond
	case always:
		p.every = time.Second
	}
	return p
}

// show tells how many records are done, of how many, and how many bytes they had; 0 bytes are not told.
func (p *progress) show(done, of record.Seq, bytes int64) {
	p.line(func() string { return progressText(done, of, bytes, time.Since(p.begun)) })
}

// line shows a text, if the last one was shown long enough ago.
func (p *progress) line(text func() string) {
	now := time.Now()
	if p.every == 0 || now.Sub(p.told) < p.every {
		return
	}
	p.told = now
	if p.live {
		fmt.Fprintf(p.c.stderr, "\r%s\x1b[K", term.StyleOf(p.c.stderr).Cut(text()))
	} else {
		fmt.Fprintln(p.c.stderr, text())
	}
}

// progressText is records, bytes, rate and the time that is left.
func progressText(done, of record.Seq, bytes int64, took time.Duration) string {
	rate := float64(done) / took.Seconds()
	line := fmt.Sprintf("%d of %d records", done, of)
	if bytes > 0 {
		line += fmt.Sprintf(", %s, %s/s", term.Bytes(bytes), term.Bytes(int64(float64(bytes)/took.Seconds())))
	}
	line += fmt.Sprintf(", %.0f records/s", rate)
	if rate > 0 {
		line += fmt.Sprintf(", %s left", time.Duration(float64(of-min(done, of))/rate*float64(time.Second)).Round(time.Second))
	}
	return line
}

// clear takes the line away.
func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.c.stderr, "\r\x1b[K")
	}
}
