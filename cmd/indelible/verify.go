package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/config"
	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/setup"
	"indelible/internal/term"
)

// verifyFlags are verify's own.
type verifyFlags struct {
	vkey, checkpoint, from, proof, record, since, sample, maxAge, clockBound string
	policy                                                                   string
	witnesses                                                                []string
	quorum, parallel                                                         int
	noExtras, noAttrs, noRows, allowIncomplete, progress, json               bool
}

func (c *cli) verifyCmd() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [LOCATION]",
		Short: "Prove that nothing is missing and nothing was changed",
		Long: `verify needs nothing but the bucket, or a copy of it, and the log's public key. It checks
the signatures, every tile and bundle of the tree, that no record is missing from the
order, and each record's bytes, headers and metadata. Two words sum it up: the log is OK
if nothing is missing and nothing was changed, and complete if it also holds all that it
tells of, and its last word is recent. It exits with 1 unless both are so, and says why.

A bucket that was put back whole to an older state cannot be told by itself: keep the
checkpoint of each audit, and give it to the next with --checkpoint, or with --from to
read only what is new since then. Where witnesses cosign the log, --witness and --policy
refuse a checkpoint that too few of them have seen.

With --proof it checks the proof of one record, made by "indelible prove", with no network.`,
		Example: `  indelible verify
  indelible verify s3://audit/llm --vkey log.vkey --from kept-yesterday
  indelible verify s3://audit/llm --vkey log.vkey --endpoint https://minio:9000 --region us-east-1
  indelible verify s3://audit/llm --vkey log.vkey --sample 1% --max-age 1h
  indelible verify s3://audit/llm --vkey log.vkey --witness w1.vkey --witness w2.vkey --quorum 1
  indelible verify ./copy --vkey log.vkey --no-attrs --allow-incomplete --json
  indelible verify --proof record.tlog-proof --record record.json --vkey log.vkey`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%s takes one LOCATION, but got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			location := ""
			if len(args) == 1 {
				location = args[0]
			}
			l, err := c.loadFor(location)
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
			return c.verify(cmd.Context(), l, location, &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	flags.StringVar(&f.checkpoint, "checkpoint", "", "a checkpoint that you kept, in a `FILE`: the log must have grown from it")
	flags.StringVar(&f.from, "from", "", "the same, and read only what is new since that checkpoint, in a `FILE`")
	flags.StringVar(&f.proof, "proof", "", "check the proof of one record, in a `FILE`, offline")
	flags.StringVar(&f.record, "record", "", "the bytes of that record, in a `FILE`")
	flags.StringVar(&f.policy, "policy", "", "which witnesses must have cosigned the newest checkpoint: a C2SP tlog-policy `FILE`")
	flags.StringArrayVar(&f.witnesses, "witness", nil, "the same, without groups: a witness's verifier key, or a `FILE` with one a line; may be repeated")
	flags.IntVar(&f.quorum, "quorum", 0, "how many of the --witness keys must have cosigned, `N` (default: all)")
	flags.StringVar(&f.since, "since", "", "read only records that arrived since `WHEN`: a duration such as 30d, or a time in RFC 3339")
	flags.StringVar(&f.sample, "sample", "", "read only `N%` of the records, chosen at random, and say what that shows of all")
	flags.StringVar(&f.maxAge, "max-age", "", "how old the log's last word may be, a `DURATION` (default: 25m in a log that was not stopped, any age in one that was)")
	flags.StringVar(&f.clockBound, "clock-bound", "", "tell where the leaves' times and the store's differ by more than a `DURATION` (default: 24h)")
	flags.IntVar(&f.parallel, "parallel", 0, "`N` requests at once (default: 256, in a directory four for each processor)")
	flags.BoolVar(&f.noExtras, "no-extras", false, "do not look for objects that no leaf names")
	flags.BoolVar(&f.noAttrs, "no-attrs", false, "do not compare headers and metadata: a plain copy of a bucket has none")
	flags.BoolVar(&f.noRows, "no-rows", false, "compare packs with the log by their objects' digests alone: quick, and the log is then not complete")
	flags.BoolVar(&f.allowIncomplete, "allow-incomplete", false, "exit with 0 when what is there is OK, complete or not")
	bindProgress(cmd, &f.progress)
	flags.BoolVar(&f.json, "json", false, "one JSON value")
	return cmd
}

func (f *verifyFlags) options() (proof.VerifyOptions, error) {
	o := proof.VerifyOptions{Parallel: f.parallel, NoExtras: f.noExtras, NoAttrs: f.noAttrs, NoRows: f.noRows, Packs: engine.PackReader{}}
	var err error
	if o.Since, err = when(f.since); err != nil {
		return o, &usageError{problem: "--since: " + err.Error()}
	}
	for _, d := range []struct {
		flag, value string
		into        *time.Duration
	}{{"--max-age", f.maxAge, &o.MaxAge}, {"--clock-bound", f.clockBound, &o.ClockBound}} {
		if d.value == "" {
			continue
		}
		if *d.into, err = config.ParseDuration(d.value); err != nil || *d.into <= 0 {
			return o, &usageError{problem: fmt.Sprintf("%s: %q is no duration, such as 90m or 30d", d.flag, d.value)}
		}
	}
	if f.sample != "" {
		n, err := config.ParsePercent(f.sample)
		if err != nil {
			return o, &usageError{problem: fmt.Sprintf("--sample: %q is no percentage, such as 5%%", f.sample)}
		}
		o.Sample = n
	}
	if f.checkpoint != "" {
		kept, err := readCheckpoint("--checkpoint", f.checkpoint)
		if err != nil {
			return o, err
		}
		o.Kept = append(o.Kept, kept)
	}
	if f.from != "" {
		if o.From, err = readCheckpoint("--from", f.from); err != nil {
			return o, err
		}
	}
	if o.Policy, err = f.witnessPolicy(); err != nil {
		return o, err
	}
	if f.parallel < 0 {
		return o, &usageError{problem: "--parallel: want a number above 0"}
	}
	return o, nil
}

// witnessPolicy is what is demanded of witnesses; nil if nothing is.
func (f *verifyFlags) witnessPolicy() (*proof.Policy, error) {
	var keys []string
	for _, w := range f.witnesses {
		b, err := os.ReadFile(w)
		if err != nil {
			keys = append(keys, w)
			continue
		}
		in := strings.Fields(string(b))
		if len(in) == 0 {
			return nil, &usageError{problem: fmt.Sprintf("--witness: %s holds no verifier key", w)}
		}
		keys = append(keys, in...)
	}
	switch {
	case f.policy != "" && (len(keys) > 0 || f.quorum != 0):
		return nil, &usageError{problem: "--policy says which witnesses and how many: it takes no --witness and no --quorum"}
	case f.policy != "":
		b, err := os.ReadFile(f.policy)
		if err != nil {
			return nil, &usageError{problem: "--policy: " + err.Error()}
		}
		p, err := proof.ParsePolicy(string(b))
		if err != nil {
			return nil, &usageError{problem: "--policy: " + err.Error()}
		}
		return p, nil
	case len(keys) == 0 && f.quorum != 0:
		return nil, &usageError{problem: "--quorum counts the witnesses that --witness names: there are none"}
	case len(keys) == 0:
		return nil, nil
	}
	p, err := proof.WitnessPolicy(keys, f.quorum)
	if err != nil {
		return nil, &usageError{problem: "--witness, --quorum: " + err.Error()}
	}
	return p, nil
}

// readCheckpoint reads one that somebody kept.
func readCheckpoint(flag, name string) (proof.KeptCheckpoint, error) {
	b, err := os.ReadFile(name)
	if err == nil {
		_, err = proof.ParseCheckpoint(b)
	}
	if err != nil {
		return proof.KeptCheckpoint{}, &usageError{problem: flag + ": " + err.Error()}
	}
	return proof.KeptCheckpoint{Name: name, Checkpoint: b}, nil
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
	e, err := setup.OpenProofSource(ctx, l, location, f.vkey)
	if err != nil {
		return err
	}
	o.Kept, o.Begun = append(o.Kept, e.Kept...), e.Begun
	terminal := term.IsTerminal(c.stderr)
	switch {
	case terminal:
		o.Progress = func(p proof.Progress) { fmt.Fprintf(c.stderr, "\r\033[K%s", progressLine(p)) }
	case f.progress:
		o.Progress = func(p proof.Progress) { fmt.Fprintln(c.stderr, progressLine(p)) }
	}
	if os.Getenv("GOGC") == "" { // what it remembers of ten million objects that are missing is half as much again without
		defer debug.SetGCPercent(debug.SetGCPercent(50))
	}
	r, err := proof.Verify(ctx, e.Store, e.Base, e.VKey, o)
	if terminal {
		fmt.Fprint(c.stderr, "\r\033[K")
	}
	if err = errors.Join(err, e.Close()); err != nil {
		return err
	}
	if f.json {
		err = writeJSON(c.stdout, struct {
			OK       bool `json:"ok"`
			Complete bool `json:"complete"`
			proof.Report
		}{r.OK(), r.Complete(), r})
	} else {
		err = printReport(c.stdout, &r)
	}
	if err == nil && (!r.OK() || !r.Complete() && !f.allowIncomplete) {
		err = quietError{}
	}
	return err
}

// verifyProof checks one record offline.
func (c *cli) verifyProof(l *config.Loaded, f *verifyFlags) error {
	vkey, err := setup.VKey(&l.Config, f.vkey)
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
	policy, err := f.witnessPolicy()
	if err != nil {
		return err
	}
	if policy != nil {
		if err := errors.Join(policy.CheckLog(vkey), policy.Check(p.Checkpoint)); err != nil {
			return err
		}
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
	leaf, cp, err := p.Check(vkey, body)
	if err != nil {
		return err
	}
	if f.json {
		return writeJSON(c.stdout, map[string]any{
			"ok": true, "log": cp.Log, "size": cp.Size, "index": p.Index, "seq": leaf.Seq, "kind": leaf.Kind,
			"time": leaf.Time, "key": leaf.Key, "sha256": leaf.Digest.String(), "record_compared": body != nil,
		})
	}
	fmt.Fprintf(c.stdout, "verified: leaf %d of %d in the log %s: %s\n", p.Index, cp.Size, cp.Log, p.Raw)
	if body != nil {
		fmt.Fprintf(c.stdout, "%s is the record that was logged\n", f.record)
	} else {
		fmt.Fprintf(c.stdout, "the record itself was not compared (--record FILE): its SHA-256 must be %s\n", leaf.Digest)
	}
	return nil
}
