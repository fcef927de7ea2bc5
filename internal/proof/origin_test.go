package proof

import (
	"testing"

	"indelible/internal/record"
)

// A log that goes on where another one ended says so first, and keeps that
// other log's order: what was parked there is stored here without a place of its own.
func TestLogWithAnOrigin(t *testing.T) {
	b := newBench(t)
	b.opt.Origin = OriginIn(tempDisk(t), "other-log", 100, "forked")
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.do(l.Add(t.Context(), b.outcome(5, record.Quarantined), b.outcome(6, record.Stored))) // before any of its own
	b.add(l, 100, 101)
	b.do(l.Checkpoint(t.Context()))
	l = b.open() // the leaf of the origin is there once
	b.do(l.Start("p", "c", ""))
	b.do(l.Add(t.Context(), b.outcome(5, record.Stored)))
	b.do(l.Stop(t.Context()))
	leaves := b.leaves()
	if got, want := kinds(leaves), "continues, start, stored 6, record 100, record 101, recovered, start, stored 5, stop"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if first := leaves[0]; first.FromLog != "other-log" || first.FromSeq != 100 || first.Reason != "forked" {
		t.Errorf("first leaf %+v", first)
	}
	report, err := Verify(t.Context(), b.st, testBase, b.key.Public(), VerifyOptions{})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("verify: %v, %v", report.Faults, err)
	}
}
