package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"indelible/internal/proof"
	"indelible/internal/term"
)

func progressLine(p proof.Progress) string {
	rate := ""
	if s := p.Elapsed.Seconds(); s > 0 {
		rate = fmt.Sprintf(", %s/s", term.Bytes(int64(float64(p.Bytes)/s)))
	}
	return fmt.Sprintf("%d of %d leaves, %d records, %s%s, %s left", p.Leaves, p.Size, p.Records, term.Bytes(p.Bytes), rate, p.Left.Round(time.Second))
}

func printReport(w io.Writer, r *proof.Report) error {
	var b strings.Builder
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "FAULT   %s\n", f)
	}
	if more := r.FaultCount - int64(len(r.Faults)); more > 0 {
		fmt.Fprintf(&b, "FAULT   and %d more\n", more)
	}
	for _, f := range r.Notices {
		fmt.Fprintf(&b, "notice  %s\n", f)
	}
	if more := r.NoticeN - int64(len(r.Notices)); more > 0 {
		fmt.Fprintf(&b, "notice  and %d more\n", more)
	}
	for i, k := range r.ExtraKeys {
		if i == 10 {
			break
		}
		fmt.Fprintf(&b, "extra   %s\n", k)
	}
	if r.Extras > 10 {
		fmt.Fprintf(&b, "extra   and %d more objects that no leaf names\n", r.Extras-10)
	}
	fmt.Fprintf(&b, "log %s: %d leaves, %d checkpoints agree; %s, %d stored (%s)\n", r.Log, r.Size, r.Checkpoints, seen(r), r.Records, term.Bytes(r.Bytes))
	if w := r.Witnessed; w != nil {
		fmt.Fprintf(&b, "witnesses: the checkpoint of size %d is cosigned by %s, at %s\n", w.Size, strings.Join(w.Witnesses, ", "), w.Time.Format(time.RFC3339))
	}
	if r.OfOtherLogs > 0 {
		fmt.Fprintf(&b, "%s more under this prefix, by what %s: verify each with its own key\n", count(uint64(r.OfOtherLogs), "object"), otherLogs(r.OtherLogs))
	}
	if r.From > 0 {
		fmt.Fprintf(&b, "the first %d leaves were audited before, and are the same\n", r.From)
	}
	switch {
	case r.Missing == 1:
		fmt.Fprintf(&b, "1 record is missing: %s\n", ranges(r.MissingRanges))
	case r.Missing > 1:
		fmt.Fprintf(&b, "%d records are missing: %s\n", r.Missing, ranges(r.MissingRanges))
	}
	fmt.Fprintf(&b, "%d objects (%s) were read and compared, %d of them with their headers and metadata", r.Checked, term.Bytes(r.CheckedBytes), r.CheckedAttrs)
	if r.Packs > 0 {
		fmt.Fprintf(&b, ", and of %s %s", count(uint64(r.Packs), "pack"), count(uint64(r.CheckedRows), "row"))
	}
	if r.Skipped > 0 {
		fmt.Fprintf(&b, ", %d were not looked at", r.Skipped)
	}
	fmt.Fprintf(&b, ", in %.1f s\n", r.Seconds)
	if c := r.Confidence; c != nil && r.OK() {
		fmt.Fprintf(&b, "in a sample nothing was found: with %.0f %% confidence at most %d of the %d objects are not as they were\n", c.Level*100, c.MaxBad, c.Of)
	}
	for _, why := range r.Incomplete {
		fmt.Fprintf(&b, "incomplete: %s\n", why)
	}
	switch {
	case !r.OK():
		fmt.Fprintf(&b, "NOT VERIFIED: %s\n", count(uint64(r.FaultCount), "fault"))
	case !r.Complete():
		b.WriteString("OK, BUT NOT COMPLETE: nothing that is there was changed\n")
	case r.Skipped > 0:
		b.WriteString("verified as far as it looked: nothing is missing from the log, nothing that was read was changed\n")
	default:
		b.WriteString("verified: nothing is missing, nothing was changed\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// seen is the records in the leaves that were read.
func seen(r *proof.Report) string {
	if r.First == 0 {
		return "no records"
	}
	return proof.SeqRange{First: r.First, Last: r.Last}.String()
}

// ranges is the first of them in one line.
func ranges(list []proof.SeqRange) string {
	var b strings.Builder
	for i, r := range list {
		if i == 10 {
			b.WriteString(", ...")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", r.First)
		if r.Last > r.First {
			fmt.Fprintf(&b, "-%d", r.Last)
		}
	}
	return b.String()
}

// otherLogs says which logs name objects beside the one that was verified.
func otherLogs(names []string) string {
	if len(names) == 1 {
		return "log " + names[0] + " names"
	}
	return fmt.Sprintf("%d other logs name (%s)", len(names), strings.Join(names[:min(len(names), 5)], ", "))
}
