package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/export"
	"indelible/internal/layout/pack"
	"indelible/internal/record"
	"indelible/internal/term"
)

// exportFlags are export's own.
type exportFlags struct {
	format, out, state string
	after              uint64
	scan, progress     bool
}

func (c *cli) exportCmd() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export [EXPR...]",
		Short: "Write records, with their bytes, in the order of their seqs",
		Long: `export writes every record of which a call matches, oldest first: as NDJSON, an envelope a
line with seq, time, key, sha256 and the fields, and with "body", the record's own bytes where
they are JSON on one line, or "body_base64"; with --format bodies nothing but the records, one a line;
or with --format parquet as a Parquet file with the columns of a pack.

-o is a file, or a store: s3://bucket/prefix or file:///dir, which gets parts of at most 64 MiB and an hour,
dt=YYYY-MM-DD/hour=H/<log>-<first>-<last>.parquet (or .ndjson). Of the store the endpoint, region and credentials
are those of the destination.
` + exprHelp + `

It can be resumed: --after goes on behind a seq, and --state keeps that seq in a file, so
that the same call goes on where an earlier one ended. With -o and --state the file is appended to; to a store
parts are added, without a record twice or missing. The state is of one log, target and format.`,
		Example: `  indelible export team=alpha since=30d > alpha.ndjson
  indelible export --format bodies -o all.jsonl --state all.state
  indelible export --format parquet -o s3://lake/audit team=alpha --state lake.state
  indelible export --after 120000`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(exportFormats, f.format) {
				return &usageError{problem: fmt.Sprintf("--format: %q is none of %s", f.format, strings.Join(exportFormats, ", "))}
			}
			if f.format == "parquet" && f.state != "" && !isStore(f.out) {
				return &usageError{problem: "--state: a Parquet file cannot be appended to; export to a store (-o s3://bucket/prefix or -o file:///dir), or without --state"}
			}
			if f.state != "" && cmd.Flags().Changed("after") {
				return &usageError{problem: "--state and --after: the state file says where to go on; give one of them"}
			}
			if err := checkExpr(args); err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				if isStore(f.out) {
					return c.exportToStore(cmd.Context(), s, args, &f)
				}
				return c.export(cmd.Context(), s, args, &f)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "ndjson", "`ndjson|bodies|parquet`")
	flags.StringVarP(&f.out, "output", "o", "", "write to `FILE`, or into a store, s3://… or file://… (default: stdout)")
	flags.StringVar(&f.state, "state", "", "keep in `FILE` how far it has come, and go on from there")
	flags.Uint64Var(&f.after, "after", 0, "only records behind `SEQ`")
	bindProgress(cmd, &f.progress)
	flags.BoolVar(&f.scan, "scan", false, "read every record, and do not ask the index")
	return cmd
}

func (c *cli) export(ctx context.Context, s control.Reader, expr []string, f *exportFlags) (err error) {
	if err := c.checkFile(f.out); err != nil {
		return err
	}
	w := &exporter{format: f.format, stdout: c.stdout, state: f.state, at: exportState{Seq: record.Seq(f.after)}}
	if f.state != "" {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		w.at.stateOf = stateOf{Log: status.Log.Name, Target: fileTarget(f.out), Format: f.format}
	}
	if err := w.open(f.out); err != nil {
		return err
	}
	if f.format == "parquet" {
		if err := w.begin(ctx, s); err != nil {
			return errors.Join(err, w.close(false))
		}
	}
	p := c.newProgress(f.progress)
	st, err := s.Index(ctx)
	if err != nil {
		return errors.Join(err, w.close(false))
	}
	done := w.at.Seq
	sum, err := s.Export(ctx, catalog.ExportQuery{Expr: expr, After: w.at.Seq, Scan: f.scan, Sent: w.parquet != nil}, func(h catalog.Hit, body io.Reader) error {
		p.show(h.Seq-done, max(st.Newest, h.Seq)-done, w.bytes)
		return w.record(h, body)
	})
	p.clear()
	if err == nil && len(expr) > 0 {
		w.at.Seq = max(w.at.Seq, st.Newest) // the last ones did not match
	}
	if err = errors.Join(err, w.close(true)); err != nil {
		if w.at.Seq > 0 {
			err = errors.Join(err, fmt.Errorf("it has come to record %d: go on with --after %d, or the same --state", w.at.Seq, w.at.Seq))
		}
		return err
	}
	fmt.Fprintf(c.stderr, "%d records up to seq %d.\n", w.written, w.at.Seq)
	if w.raw > 0 {
		fmt.Fprintf(c.stderr, "%d of them are no JSON on one line, and stand there as they are.\n", w.raw)
	}
	err = c.tellSearch(sum, f.scan)
	if w.large > 0 {
		fmt.Fprintf(c.stderr, "%d records over %s are not in it, because a row cannot hold them: export to a store, where they are objects beside it, or as ndjson.\n", w.large, term.Bytes(pack.MaxBody))
		err = errors.Join(err, quietError{})
	}
	return err
}

// exportFormats are the forms that an export can have.
var exportFormats = []string{"ndjson", "bodies", "parquet"}

// exportState is how far an export has come: with which record, and with how many bytes of its file.
type exportState struct {
	Seq   record.Seq `json:"seq"`
	Bytes int64      `json:"bytes,omitempty"`
	stateOf
}

// saveEvery is after how many bytes the state is kept.
const saveEvery = 16 << 20

// exporter writes records.
type exporter struct {
	format       string
	stdout       io.Writer
	state        string
	file         *os.File // nil: stdout
	out          *bufio.Writer
	at           exportState
	saved        int64
	parquet      export.Part // nil: the form is text
	written, raw int
	large        int   // records that a row of Parquet cannot hold
	bytes        int64 // written by this call
}

// open opens the file, and goes on where the state says that an earlier call has ended.
func (x *exporter) open(name string) error {
	kept, err := x.load()
	if err != nil {
		return err
	}
	if name == "" || name == "-" {
		x.out = bufio.NewWriterSize(x.stdout, 64<<10)
		return nil
	}
	mode := os.O_WRONLY | os.O_CREATE
	if !kept {
		mode |= os.O_TRUNC
	}
	if x.file, err = os.OpenFile(name, mode, 0o666); err != nil {
		return err
	}
	if kept {
		err = x.resume(name)
	}
	if err != nil {
		return errors.Join(err, x.file.Close())
	}
	x.out = bufio.NewWriterSize(x.file, 64<<10)
	return nil
}

// resume cuts off what an interrupted call wrote behind its state.
func (x *exporter) resume(name string) error {
	info, err := x.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if info.Size() < x.at.Bytes {
		return fmt.Errorf("%s has %d bytes, and the state %s says %d: it is not the file of that state; give another --state, or take it away to start over", name, info.Size(), x.state, x.at.Bytes)
	}
	if err := x.file.Truncate(x.at.Bytes); err != nil {
		return err
	}
	_, err = x.file.Seek(x.at.Bytes, io.SeekStart)
	return err
}

// record writes one.
func (x *exporter) record(h catalog.Hit, body io.Reader) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read record %d: %w", h.Seq, err)
	}
	if x.parquet != nil {
		return x.row(h, b)
	}
	n, err := x.text(h, b)
	if err != nil {
		return err
	}
	x.written++
	x.at.Seq, x.at.Bytes = h.Seq, x.at.Bytes+int64(n)
	x.bytes += int64(n)
	if x.state != "" && x.at.Bytes-x.saved >= saveEvery {
		return x.save()
	}
	return nil
}

// close writes what is left; save says that the state is kept.
func (x *exporter) close(save bool) error {
	var errs []error
	if x.parquet != nil && x.written > 0 {
		errs = append(errs, x.parquet.Close())
	}
	if save && x.state != "" {
		errs = append(errs, x.save())
	} else {
		errs = append(errs, x.out.Flush())
	}
	if x.file != nil {
		errs = append(errs, x.file.Close())
	}
	return errors.Join(errs...)
}
