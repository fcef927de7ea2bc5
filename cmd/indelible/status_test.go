package main

import (
	"strings"
	"testing"
	"time"

	"indelible/internal/control"
	"indelible/internal/term"
)

// The first line is the worst that is the matter, and what to do is below it.
func TestStatusSummary(t *testing.T) {
	good := func() control.Status {
		return control.Status{
			Running: true, Acked: 9, Stored: 9, Proven: 9,
			Destination: control.DestinationStatus{State: "ok"}, Disk: control.DiskStatus{State: control.DiskOK},
		}
	}
	tests := []struct {
		name   string
		change func(*control.Status)
		want   string // the first line's beginning
		remedy string // somewhere
	}{
		{"well", func(*control.Status) {}, "All is well: every record is stored and proven.", ""},
		{"new", func(s *control.Status) { s.Acked, s.Stored, s.Proven = 0, 0, 0 }, "Ready: no record has come yet.", ""},
		{"on the way", func(s *control.Status) { s.Pending = 2 }, "All is well: 2 records on the way", ""},
		{"unproven", func(s *control.Status) { s.Proven = 8 }, "All is well: every record is stored, and the newest", ""},
		{"stale", func(s *control.Status) { s.Pending, s.OldestPendingSeconds = 1, 301 }, "Delivery is slow: 1 record waits here", ""},
		{"throttled", func(s *control.Status) { s.Destination.State = "throttled" }, "The destination asks for less", "what to do: nothing"},
		{"credentials", func(s *control.Status) { s.Destination.State, s.Pending = "credentials", 3 }, "The destination takes nothing (credentials): 3 records wait here and will be delivered; nothing is lost.", "give serve credentials"},
		{"unreachable, with nothing pending", func(s *control.Status) { s.Destination.State = "unreachable" }, "The destination takes nothing (unreachable): nothing waits here, and what comes now will wait here and be delivered; nothing is lost.", "check network"},
		{"throttled, with nothing pending", func(s *control.Status) { s.Destination.State = "throttled" }, "The destination asks for less: nothing waits here", ""},
		{"quarantined", func(s *control.Status) { s.Quarantined = 1 }, "1 record parked", "redrive"},
		{"gaps", func(s *control.Status) { s.Gaps, s.Destination.State = 1, "unreachable" }, "The disk has lost acknowledged records: 1 gap", ""},
		{"slow disk", func(s *control.Status) { s.Disk.State, s.Disk.Reason = control.DiskSlow, "the newest sync took 1.0 s" }, "The disk is slow: the newest sync took 1.0 s.", "on a faster one"},
		{"full disk", func(s *control.Status) {
			s.Disk.State, s.Disk.Reason, s.Quarantined = control.DiskFull, "1.0 MiB free", 1
		}, "The disk is full: 1.0 MiB free.", "make room"},
		{"failing disk", func(s *control.Status) { s.Disk.State, s.Disk.Reason = control.DiskFailing, "EIO\x1b[2K" }, `The disk is failing: EIO\x1b[2K.`, "replace the disk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := good()
			tt.change(&s)
			var b strings.Builder
			if err := printStatus(&b, term.Style{}, sample{at: time.Now(), status: s}, sample{}); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(b.String(), tt.want) || !strings.Contains(b.String(), tt.remedy) || strings.Contains(b.String(), "\x1b") {
				t.Errorf("want %q and %q:\n%s", tt.want, tt.remedy, b.String())
			}
		})
	}
}

// Gaps are named one a line, the newest ten; the others are counted, with where they are named.
func TestStatusGaps(t *testing.T) {
	s := control.Status{Running: true, Acked: 900, Gaps: 20, GapsNotListed: 8}
	for i := range uint64(12) {
		s.GapRanges = append(s.GapRanges, control.GapRange{First: 10 * i, Last: 10*i + i%2, Cause: "bad\x1b[2K block"})
	}
	var b strings.Builder
	if err := printStatus(&b, term.Style{}, sample{at: time.Now(), status: s}, sample{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`lost         record 20: bad\x1b[2K block`, "             records 110 to 111: bad", "2 gaps before those: \"indelible status --json\" lists them",
		"8 gaps released before this start, or older: \"indelible verify\" names them", "what to do: replace the disk",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "records 10 to 11:") {
		t.Errorf("more than ten:\n%s", b.String())
	}
}

func TestStatusRates(t *testing.T) {
	at := time.Unix(0, 0)
	last := sample{at, control.Status{PID: 1, Acked: 100, Stored: 0, Pending: 100}}
	now := sample{at.Add(2 * time.Second), control.Status{PID: 1, Acked: 120, Stored: 60, Pending: 60}}
	if got, want := ratesText(now, last), "10/s acked, 30/s stored, nothing pending in 3s at this pace"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	now.status.PID = 2
	if got := ratesText(now, last); got != "" {
		t.Errorf("over a restart: %q", got)
	}
}
