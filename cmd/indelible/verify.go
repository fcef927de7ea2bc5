package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/config"
	"indelible/internal/daemon"
	"indelible/internal/proof"
	"indelible/internal/term"
)

// verifyFlags are verify's own.
type verifyFlags struct {
	vkey, checkpoint, proof, record, since, sample string
	json                                           bool
}

func (c *cli) verifyCmd() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [LOCATION]",
		Short: "Prove that nothing is missing and nothing was changed",
		Long: `verify needs nothing but the bucket, or a copy of it, and the log's public key. It checks
the signatures, every tile and bundle of the tree, that no record is missing from the
order, and each record's bytes. It exits with 1 if it finds a fault, and names each one.

A bucket that was put back whole to an older state cannot be told by itself: keep the
checkpoint of each audit, and give it to the next with --checkpoint.

With --proof it checks the proof of one record, made by "indelible prove", with no network.`,
		Example: `  indelible verify
  indelible verify s3://audit/llm --vkey log.vkey --checkpoint kept-in-march
  indelible verify ./copy --vkey log.vkey --json
  indelible verify --proof record.tlog-proof --record record.json --vkey log.vkey`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one LOCATION, but got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := c.load()
			if err != nil {
				return err
			}
			if f.proof != "" {
				if len(args) > 0 {
					return &usageError{problem: "--proof checks one record offline: it takes no LOCATION"}
				}
				return c.verifyProof(l, &f)
			}
			if f.record != "" {
				return &usageError{problem: "--record belongs to --proof FILE"}
			}
			location := ""
			if len(args) == 1 {
				location = args[0]
			}
			return c.verify(cmd.Context(), l, location, &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "a head that you kept, in a `FILE`: the log must have grown from it")
	flags.StringVar(&f.proof, "proof", "", "check the proof of one record, in a `FILE`, offline")
	flags.StringVar(&f.record, "record", "", "the bytes of that record, in a `FILE`")
	flags.StringVar(&f.since, "since", "", "read only records that arrived since `WHEN`: a duration such as 30d, or a time in RFC 3339")
	flags.StringVar(&f.sample, "sample", "", "read only `N%` of the records, chosen at random")
	flags.BoolVar(&f.json, "json", false, "one JSON value")
	return cmd
}

func (f *verifyFlags) options() (proof.VerifyOptions, error) {
	var o proof.VerifyOptions
	var err error
	if o.Since, err = when(f.since); err != nil {
		return o, &usageError{problem: "--since: " + err.Error()}
	}
	if f.sample != "" {
		n, err := strconv.ParseFloat(strings.TrimSuffix(f.sample, "%"), 64)
		if err != nil || !(n > 0 && n <= 100) {
			return o, &usageError{problem: fmt.Sprintf("--sample: %q is no percentage, such as 5%%", f.sample)}
		}
		o.Sample = n
	}
	if f.checkpoint != "" {
		b, err := os.ReadFile(f.checkpoint)
		if err != nil {
			return o, &usageError{problem: "--checkpoint: " + err.Error()}
		}
		o.Kept = append(o.Kept, proof.KeptHead{Name: f.checkpoint, Checkpoint: b})
	}
	return o, nil
}

// when reads a point in time: RFC 3339, a day, or how long ago. "" is the zero time.
func when(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	d, err := config.ParseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a duration such as 30d nor a time such as 2026-11-24T08:00:00Z", s)
	}
	return time.Now().Add(-d), nil
}

func (c *cli) verify(ctx context.Context, l *config.Loaded, location string, f *verifyFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	e, err := daemon.OpenEvidence(ctx, l, location, f.vkey)
	if err != nil {
		return err
	}
	o.Kept = append(o.Kept, e.Kept...)
	if term.IsTerminal(c.stderr) {
		o.Progress = func(p proof.Progress) { fmt.Fprintf(c.stderr, "\r\033[K%s", progressLine(p)) }
	}
	r, err := proof.Verify(ctx, e.Store, e.Base, e.VKey, o)
	if o.Progress != nil {
		fmt.Fprint(c.stderr, "\r\033[K")
	}
	if err = errors.Join(err, e.Close()); err != nil {
		return err
	}
	if f.json {
		err = writeJSON(c.stdout, struct {
			OK bool `json:"ok"`
			proof.Report
		}{r.OK(), r})
	} else {
		err = printReport(c.stdout, &r)
	}
	if err == nil && !r.OK() {
		err = quietError{}
	}
	return err
}

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
	fmt.Fprintf(&b, "log %s: %d leaves, %d heads agree; records %d to %d, %d stored (%s)\n", r.Log, r.Size, r.Heads, r.First, r.Last, r.Records, term.Bytes(r.Bytes))
	fmt.Fprintf(&b, "%d objects (%s) were read and compared", r.Checked, term.Bytes(r.CheckedBytes))
	if r.Skipped > 0 {
		fmt.Fprintf(&b, ", %d were not looked at", r.Skipped)
	}
	fmt.Fprintf(&b, ", in %.1f s\n", r.Seconds)
	switch {
	case !r.OK():
		fmt.Fprintf(&b, "NOT VERIFIED: %d faults\n", r.FaultCount)
	case r.Skipped > 0:
		b.WriteString("verified as far as it looked: nothing is missing from the log, nothing that was read was changed\n")
	case r.Deferred+r.Quarantined > 0:
		fmt.Fprintf(&b, "verified: nothing was changed; %d records are not in the bucket, as the log says (deferred or quarantined)\n", r.Deferred+r.Quarantined)
	default:
		b.WriteString("verified: nothing is missing, nothing was changed\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// verifyProof checks one record offline.
func (c *cli) verifyProof(l *config.Loaded, f *verifyFlags) error {
	vkey, err := daemon.ReadVKey(&l.Config, f.vkey)
	if err != nil {
		return err
	}
	file, err := os.ReadFile(f.proof)
	if err != nil {
		return &usageError{problem: "--proof: " + err.Error()}
	}
	p, err := proof.ParseProof(file)
	if err != nil {
		return err
	}
	var body io.Reader
	if f.record != "" {
		r, err := os.Open(f.record)
		if err != nil {
			return &usageError{problem: "--record: " + err.Error()}
		}
		defer func() { _ = r.Close() }()
		body = r
	}
	leaf, head, err := p.Check(vkey, body)
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(c.stdout, map[string]any{
			"ok": true, "log": head.Log, "size": head.Size, "index": p.Index, "seq": leaf.Seq, "kind": leaf.Kind,
			"time": leaf.Time, "key": leaf.Key, "sha256": leaf.Digest.String(), "record_compared": body != nil,
		})
	}
	fmt.Fprintf(c.stdout, "verified: leaf %d of %d in the log %s: %s\n", p.Index, head.Size, head.Log, p.Raw)
	if body != nil {
		fmt.Fprintf(c.stdout, "%s is the record that was logged\n", f.record)
	} else {
		fmt.Fprintf(c.stdout, "the record itself was not compared (--record FILE): its SHA-256 must be %s\n", leaf.Digest)
	}
	return nil
}
