package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/engine"
	"indelible/internal/proof"
	"indelible/internal/setup"
)

// reconcileFlags are reconcile's own.
type reconcileFlags struct {
	format                     proof.IDFormat
	vkey, since, until         string
	parallel                   int
	keysOnly, allowEmpty, json bool
	progress                   bool
	against                    string
}

func (c *cli) reconcileCmd() *cobra.Command {
	var f reconcileFlags
	cmd := &cobra.Command{
		Use:   "reconcile FILE | reconcile --against proxy",
		Short: "Compare a producer's ids with the log, or LiteLLM with the wire",
		Long: `reconcile reads ids that a producer of records knows (LiteLLM's SpendLogs as CSV, NDJSON, or
a file with one id a line; - is stdin), and looks for them in the log: what was never
sent, and what the log has that the producer does not know. Ids are looked for in the
keys, and what no key tells, such as call ids and the lines of a batch, in the records.
An id that the producer knows three times wants three records. It exits with 1 if one is
missing. The answer is only about leaves that make the signed root; records acknowledged
since the last checkpoint are not among them.

With --against proxy it compares LiteLLM's records in the log with what the recording proxy and the
Transport saw: the calls of which LiteLLM has no record, and those on which the two disagree about status, finish
reason, usage or the model that answered. It exits with 1 if there are any; another name of the
model alone is told and is none. It takes about half a kilobyte of memory a call.`,
		Example: `  indelible reconcile spendlogs.csv
  indelible reconcile ids.txt --format ids --since 24h --json
  indelible reconcile --against proxy --since 24h
  psql -c "copy (select request_id, \"startTime\" from \"LiteLLM_SpendLogs\") to stdout csv header" | indelible reconcile -  --format csv`,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.against != "" {
				return cobra.NoArgs(cmd, args)
			}
			return oneArg("FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.against != "" {
				return c.reconcileWire(cmd.Context(), &f)
			}
			return c.reconcile(cmd.Context(), args[0], &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format.Form, "format", "", "`ids|csv|ndjson` (default: by the file's extension, else ids)")
	flags.StringVar(&f.format.Column, "column", "", "the column or member with the id, by `NAME` (default: request_id, id, call_id or litellm_call_id)")
	flags.StringVar(&f.format.TimeColumn, "time-column", "", "the one with the time, by `NAME` (default: startTime, start_time, time or created_at)")
	flags.StringVar(&f.against, "against", "", "compare LiteLLM's records with the `proxy`'s")
	flags.StringVar(&f.since, "since", "", "the producer ought to know the records that arrived since `WHEN`")
	flags.StringVar(&f.until, "until", "", "and before `WHEN`")
	flags.StringVar(&f.vkey, "vkey", "", "the log's public key, in a `FILE` (default: log.vkey of the data directory)")
	flags.IntVar(&f.parallel, "parallel", 0, "`N` requests at once (default: 256, in a directory four for each processor)")
	flags.BoolVar(&f.keysOnly, "keys-only", false, "look for ids in keys, and read no record")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "a FILE without an id is no error")
	flags.BoolVar(&f.json, "json", false, "one JSON value")
	bindProgress(cmd, &f.progress)
	return cmd
}

func (c *cli) reconcile(ctx context.Context, name string, f *reconcileFlags) error {
	o := proof.ReconcileOptions{KeysOnly: f.keysOnly, Parallel: f.parallel, Packs: engine.PackReader{}}
	var err error
	if o.Since, err = when(f.since); err != nil {
		return &usageError{problem: "--since: " + err.Error()}
	}
	if o.Until, err = when(f.until); err != nil {
		return &usageError{problem: "--until: " + err.Error()}
	}
	switch f.format.Form {
	case "":
		f.format.Form = formatOf(name)
	case "ids", "csv", "ndjson":
	default:
		return &usageError{problem: fmt.Sprintf("--format: %q is none of ids, csv, ndjson", f.format.Form)}
	}
	in := io.Reader(os.Stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return &usageError{problem: err.Error()}
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	l, err := c.load()
	if err != nil {
		return err
	}
	e, err := setup.OpenProofSource(ctx, l, "", f.vkey)
	if err != nil {
		return err
	}
	p := c.newProgress(f.progress)
	o.Progress = func(leaves, size uint64, records int64) {
		p.line(func() string { return reconcileProgress(leaves, size, records) })
	}
	r, err := proof.Reconcile(ctx, e.Store, e.Base, e.VKey, proof.ReadIDs(in, f.format), o)
	p.clear()
	if errors.Is(err, proof.ErrNoIDs) {
		if f.allowEmpty {
			return e.Close()
		}
		err = fmt.Errorf("%s: %w: nothing was compared (--allow-empty if that is right)", name, proof.ErrNoIDs)
	}
	if err = errors.Join(err, e.Close()); err != nil {
		return err
	}
	if f.json {
		err = writeJSON(c.stdout, struct {
			OK bool `json:"ok"`
			proof.Reconciliation
		}{r.OK(), r})
	} else {
		err = printReconciliation(c.stdout, &r)
	}
	if err == nil && !r.OK() {
		err = quietError{}
	}
	return err
}

func reconcileProgress(leaves, size uint64, records int64) string {
	line := fmt.Sprintf("%d of %d leaves", leaves, size)
	if records > 0 {
		line += fmt.Sprintf(", %d records looked into", records)
	}
	return line
}

func formatOf(name string) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return "csv"
	case ".ndjson", ".jsonl":
		return "ndjson"
	}
	return "ids"
}

func printReconciliation(w io.Writer, r *proof.Reconciliation) error {
	var b strings.Builder
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "missing  %s%s", m.ID, stamp(m.Time))
		if m.Known > 1 {
			fmt.Fprintf(&b, "  (%d of %d are in the log)", m.Found, m.Known)
		}
		b.WriteByte('\n')
	}
	for _, s := range r.Surplus {
		fmt.Fprintf(&b, "more     %s: %d records carry this id, the producer knows %d\n", s.ID, s.Found, s.Known)
	}
	for _, u := range r.Unknown {
		fmt.Fprintf(&b, "unknown  %s%s\n", u.Key, stamp(u.Time))
	}
	if more := r.Others - int64(len(r.Unknown)); more > 0 {
		fmt.Fprintf(&b, "unknown  and %d more\n", more)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "hour\trecords\tmissing\tunknown\t")
	for _, h := range r.Hours {
		hour := "no time"
		if !h.Hour.IsZero() {
			hour = h.Hour.Format("2006-01-02 15h")
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", hour, h.Records, h.Missing, h.Unknown)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if r.Unread > 0 {
		fmt.Fprintf(&b, "%d records could not be looked into\n", r.Unread)
	}
	fmt.Fprintf(&b, "%s: %d in the log, %d never sent (or not acknowledged before the last checkpoint); %d of %d records are unknown to the producer\n",
		count(uint64(r.IDs), "id"), r.Matched, r.Lost, r.Others, r.Records)
	_, err := io.WriteString(w, b.String())
	return err
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "  " + t.UTC().Format(time.RFC3339)
}
