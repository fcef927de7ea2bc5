package main

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		want  string
	}{
		{0, "100 of 400 records, 10 records/s, 30s left"},
		{1 << 20, "100 of 400 records, 1.0 MiB, 102.4 KiB/s, 10 records/s, 30s left"},
	} {
		if got := progressText(100, 400, c.bytes, 10*time.Second); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// Through a pipe nothing is told, unless it is asked for.
func TestProgressThroughAPipe(t *testing.T) {
	for always, want := range map[bool]bool{false: false, true: true} {
		var stderr bytes.Buffer
		p := (&cli{stderr: &stderr}).newProgress(always)
		p.begun = p.begun.Add(-time.Minute)
		p.told = p.begun
		p.show(1, 2, 3)
		p.clear()
		if got := stderr.Len() > 0; got != want {
			t.Errorf("--progress %v: %q", always, stderr.String())
		}
	}
}
