package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"indelible/internal/control"
	"indelible/internal/term"
)

// sample is a status and when it was taken.
type sample struct {
	at     time.Time
	status control.Status
}

// ago is how long something is over. A clock that was set back may say that it is to come.
func ago(now, at time.Time) time.Duration { return max(0, now.Sub(at)).Round(time.Second) }

// count is a number of things: "1 record", "2 records".
func count(n uint64, what string) string { return fmt.Sprint(n, " ", plural(n, what, what+"s")) }

func plural(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// summary is the first line of a status: the worst that is the matter.
func summary(s control.Status, style term.Style) string {
	v := s.Health()
	lead := map[control.Level]func(string) string{control.Good: style.Good, control.Warn: style.Warn, control.Bad: style.Bad}[v.Level]
	return lead(term.Quote(v.Lead)+" ") + term.Quote(v.Rest)
}

func printStatus(w io.Writer, style term.Style, now, last sample) error {
	s := now.status
	t := term.NewTable(nil)
	column := len("destination") + 2 // where the text begins
	for name := range s.Doors {
		column = max(column, len("door "+name)+2)
	}
	row := func(name, text string) { t.Row(style.Bold(name), style.WrapCell(column, text)) }
	run := "not running: read from the data directory"
	if s.Running {
		run = fmt.Sprintf("running, process %d, version %s", s.PID, s.Version)
	}
	row("daemon", run)
	row("log", logText(s.Log))
	if s.Running {
		row("received", receivedText(s.Doors))
	}
	row("records", fmt.Sprintf("%d acked, %d stored, %d proven", s.Acked, s.Stored, s.Proven))
	if rate := ratesText(now, last); rate != "" {
		row("rate", rate)
	}
	pending := "nothing"
	if s.Pending > 0 {
		pending = fmt.Sprintf("%s, %s, the oldest for %s", count(s.Pending, "record"), term.Bytes(s.PendingBytes), time.Duration(s.OldestPendingSeconds)*time.Second)
	}
	row("pending", pending)
	if s.Quarantined+s.Deferred > 0 {
		row("parked", fmt.Sprintf("%d quarantined, %d deferred", s.Quarantined, s.Deferred))
		row("", "\"indelible ls\" shows them, \"indelible get --attrs\" says why, \"indelible redrive\" tries them again")
	}
	row("also", fmt.Sprintf("%d re-sent, %s, %s", s.Resent, count(s.Collisions, "key collision"), count(s.Gaps, "gap")))
	gapRows(row, s, style)
	destinationRows(row, s.Destination, now.at, style)
	diskRows(row, s.Disk, style)
	scrubRow(row, s.Scrub, now.at, style)
	for _, name := range slices.Sorted(maps.Keys(s.Doors)) {
		door := s.Doors[name]
		text := "no record yet"
		if door.LastRecord != nil {
			text = fmt.Sprintf("last record %s ago", ago(now.at, *door.LastRecord))
		}
		row("door "+name, fmt.Sprintf("%s: %d acked, %d refused, %s", door.Listen, door.Acked, door.Refused, text))
		for _, from := range door.Senders {
			text := "no record yet"
			if from.LastRecord != nil {
				text = fmt.Sprintf("%s, the last %s ago", count(from.Records, "record"), ago(now.at, *from.LastRecord))
			}
			row("", fmt.Sprintf("%s: %s", from.Source, text))
		}
	}
	if _, err := fmt.Fprintln(w, style.Wrap(0, summary(s, style))); err != nil {
		return err
	}
	return t.Flush(w)
}

// gapsShown bounds the rows of gaps: with more, what is below them leaves the screen.
const gapsShown = 10

// gapRows names the records that the disk lost, the newest ranges, and says where the others are named.
func gapRows(row func(name, text string), s control.Status, style term.Style) {
	if s.Gaps == 0 {
		return
	}
	hidden := max(0, len(s.GapRanges)-gapsShown)
	name := "lost"
	for _, g := range s.GapRanges[hidden:] {
		row(name, style.Bad(g.Records())+": "+term.Plain(term.Quote(g.Cause)))
		name = ""
	}
	if hidden > 0 {
		row(name, fmt.Sprintf("%s before those: \"indelible status --json\" lists %s", count(uint64(hidden), "gap"), plural(uint64(hidden), "it", "them")))
	}
	if n := s.GapsNotListed; n > 0 {
		row(name, fmt.Sprintf("%s released before this start, or older: \"indelible verify\" names %s", count(n, "gap"), plural(n, "it", "them")))
	}
	row("", "what to do: "+control.GapRemedy)
}

func logText(l control.LogStatus) string {
	text := fmt.Sprintf("%s, %d leaves", cmp.Or(l.Name, "no name yet"), l.Size)
	if l.CheckpointAgeSeconds != nil {
		text += fmt.Sprintf(", the last checkpoint %s ago", time.Duration(*l.CheckpointAgeSeconds)*time.Second)
	}
	return text
}

func receivedText(doors map[string]control.DoorStatus) string {
	var received, resent, refused, bytes uint64
	for _, d := range doors {
		received, resent, refused, bytes = received+d.Received, resent+d.Resent, refused+d.Refused, bytes+d.Bytes
	}
	return fmt.Sprintf("%d since the start (%d re-sent, %d refused), %s", received, resent, refused, term.Bytes(int64(bytes)))
}

// ratesText is what a second brought since the last look; "" where there was none, or the
// daemon was restarted.
func ratesText(now, last sample) string {
	took := now.at.Sub(last.at).Seconds()
	n, l := now.status, last.status
	if last.at.IsZero() || took <= 0 || n.PID != l.PID || n.Acked < l.Acked || n.Stored < l.Stored {
		return ""
	}
	text := fmt.Sprintf("%.0f/s acked, %.0f/s stored", float64(n.Acked-l.Acked)/took, float64(n.Stored-l.Stored)/took)
	if gain := (float64(n.Stored-l.Stored) - float64(n.Acked-l.Acked)) / took; n.Pending > 0 && gain >= 1 {
		text += fmt.Sprintf(", nothing pending in %s at this pace", (time.Duration(float64(n.Pending)/gain) * time.Second).Round(time.Second))
	}
	return text
}

func destinationRows(row func(name, text string), d control.DestinationStatus, now time.Time, style term.Style) {
	row("destination", term.Quote(d.URL))
	state := d.State
	if d.Remedy() != "" {
		state = style.Bad(state)
	}
	if !d.Since.IsZero() {
		state += fmt.Sprintf(" for %s", ago(now, d.Since))
	}
	row("", fmt.Sprintf("%s, %d in flight, %d %s", state, d.InFlight, d.Retries, plural(d.Retries, "retry", "retries")))
	if remedy := d.Remedy(); remedy != "" {
		if d.LastError != "" {
			row("", "last error: "+term.Plain(term.Quote(d.LastError)))
		}
		row("", "what to do: "+remedy)
	}
}

func scrubRow(row func(name, text string), s *control.ScrubStatus, now time.Time, style term.Style) {
	if s == nil {
		return
	}
	switch {
	case s.Ended == nil && s.Problem == "":
		row("scrub", "none has ended yet")
	case s.Ended != nil:
		row("scrub", fmt.Sprintf("%s ago: %s read of %s", ago(now, *s.Ended), count(uint64(s.Checked), "object"), count(uint64(s.Records), "record")))
	}
	if s.Faults > 0 {
		row("", style.Bad(count(uint64(s.Faults), "fault"))+" since the start, the first: "+term.Quote(s.First))
		row("", "what to do: \"indelible verify\" names them all; bring them back from the bucket's versions or a copy")
	}
	if s.Problem != "" {
		row("", "the last one could not look: "+term.Plain(term.Quote(s.Problem)))
	}
}

func diskRows(row func(name, text string), d control.DiskStatus, style term.Style) {
	row("disk", fmt.Sprintf("the spool takes %s, %s free", term.Bytes(d.SpoolBytes), term.Bytes(d.FreeBytes)))
	if remedy := d.Remedy(); remedy != "" {
		row("", style.Bad(string(d.State))+": "+term.Quote(d.Reason))
		row("", "what to do: "+remedy)
	}
}
