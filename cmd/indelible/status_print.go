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

// remedies are what to do about each state of the destination.
var remedies = map[string]string{
	"throttled":     "nothing: it asks for less, and delivery goes at the pace it takes",
	"credentials":   "give serve credentials that may write there; \"indelible doctor\" tells which are used",
	"configuration": "check bucket, region and endpoint; \"indelible doctor\" tells what is wrong",
	"unreachable":   "check network and endpoint; records are kept here and delivered when it is back",
}

// diskRemedies are what to do about each state of the disk.
var diskRemedies = map[control.DiskState]string{
	control.DiskReadOnly: "find out why in dmesg, have the disk checked, and mount it for writing; senders keep their records meanwhile",
	control.DiskFailing:  "look at dmesg and replace the disk; nothing is given up, and what cannot be read is tried again for ever",
	control.DiskFull:     "make room, or bring the destination back, which makes room; senders keep their records meanwhile",
	control.DiskInodes:   "remove files from this file system, or give the data directory another one",
	control.DiskSlow:     "see what else writes to this disk, and whether it is failing (\"indelible doctor\", dmesg), or put the data directory on a faster one",
}

// stale is how long a record may wait before the first line says so.
const stale = 5 * time.Minute

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
	d := s.Destination
	waiting := count(s.Pending, "record") + plural(s.Pending, " waits", " wait") + " here and will be delivered"
	switch state := s.Disk.State; {
	case state == control.DiskReadOnly, state == control.DiskFailing, state == control.DiskFull, state == control.DiskInodes:
		return style.Bad("The disk is "+string(state)+": ") + term.Quote(s.Disk.Reason) + "."
	case s.Log.Problem != "":
		return style.Bad("The log cannot go on: ") + term.Quote(s.Log.Problem) + "."
	case s.Gaps > 0:
		return style.Bad("The disk has lost acknowledged records: ") + count(s.Gaps, "gap") + " in the log. Replace the disk."
	case d.State == "credentials" || d.State == "configuration" || d.State == "unreachable":
		return style.Bad("The destination takes nothing ("+d.State+"): ") + waiting + "; nothing is lost."
	case s.Quarantined > 0:
		return style.Warn(count(s.Quarantined, "record")+" set aside: ") + "the destination refuses them. \"indelible ls\" and \"indelible get --attrs\" tell why."
	case s.OldestPendingSeconds > int64(stale/time.Second):
		return style.Warn("Delivery is slow: ") + waiting + "."
	case s.Disk.State == control.DiskSlow:
		return style.Warn("The disk is slow: ") + term.Quote(s.Disk.Reason) + "."
	case d.State == "throttled":
		return style.Warn("The destination asks for less: ") + waiting + "."
	case s.Acked == 0:
		return style.Good("Ready: ") + "no record has come yet."
	case s.Pending > 0:
		return style.Good("All is well: ") + count(s.Pending, "record") + " on the way, the others stored."
	case s.Proven < s.Stored:
		return style.Good("All is well: ") + "every record is stored, and the newest are about to be proven."
	}
	return style.Good("All is well: ") + "every record is stored and proven."
}

func printStatus(w io.Writer, style term.Style, now, last sample) error {
	s := now.status
	t := term.NewTable(nil)
	row := func(name, text string) { t.Row(style.Bold(name), text) }
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
		row("set aside", fmt.Sprintf("%d quarantined, %d deferred", s.Quarantined, s.Deferred))
		row("", "\"indelible ls\" shows them, \"indelible get --attrs\" says why, \"indelible redrive\" tries them again")
	}
	row("also", fmt.Sprintf("%d re-sent, %s, %s", s.Resent, count(s.Collisions, "key collision"), count(s.Gaps, "gap")))
	destinationRows(row, s.Destination, now.at, style)
	diskRows(row, s.Disk, style)
	for _, name := range slices.Sorted(maps.Keys(s.Doors)) {
		door := s.Doors[name]
		text := "no record yet"
		if door.LastRecord != nil {
			text = fmt.Sprintf("last record %s ago", ago(now.at, *door.LastRecord))
		}
		row("door "+name, fmt.Sprintf("%s: %d acked, %d refused, %s", door.Listen, door.Acked, door.Refused, text))
	}
	if _, err := fmt.Fprintln(w, summary(s, style)); err != nil {
		return err
	}
	return t.Flush(w)
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
// daemon was started anew.
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
	if remedies[d.State] != "" {
		state = style.Bad(state)
	}
	if !d.Since.IsZero() {
		state += fmt.Sprintf(" for %s", ago(now, d.Since))
	}
	row("", fmt.Sprintf("%s, %d in flight, %d %s", state, d.InFlight, d.Retries, plural(d.Retries, "retry", "retries")))
	if remedy := remedies[d.State]; remedy != "" {
		if d.LastError != "" {
			row("", "last error: "+plain(term.Quote(d.LastError)))
		}
		row("", "what to do: "+remedy)
	}
}

func diskRows(row func(name, text string), d control.DiskStatus, style term.Style) {
	row("disk", fmt.Sprintf("the spool takes %s, %s free", term.Bytes(d.SpoolBytes), term.Bytes(d.FreeBytes)))
	if remedy := diskRemedies[d.State]; remedy != "" {
		row("", style.Bad(string(d.State))+": "+term.Quote(d.Reason))
		row("", "what to do: "+remedy)
	}
}
