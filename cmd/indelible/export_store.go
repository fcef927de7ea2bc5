package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/export"
	"indelible/internal/layout/pack"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/setup"
)

// isStore says whether a target is a store, and no file.
func isStore(target string) bool { return strings.Contains(target, "://") }

// begin begins a Parquet file.
func (x *exporter) begin(ctx context.Context, s control.Reader) error {
	st, err := s.Status(ctx)
	if err == nil {
		x.parquet, err = export.Parquet{Log: st.Log.Name}.Begin(x.out)
	}
	return err
}

// row writes a record into the Parquet file.
func (x *exporter) row(h catalog.Hit, body []byte) error {
	err := x.parquet.Add(&export.Item{Row: rowOf(&h, body)})
	switch {
	case errors.Is(err, pack.ErrTooLarge):
		x.large++
		return nil
	case errors.Is(err, pack.ErrFull):
		return fmt.Errorf("one Parquet file holds no more than what came before record %d: export to a store, which gets several (-o s3://bucket/prefix or -o file:///dir)", h.Seq)
	case err != nil:
		return err
	}
	x.written++
	x.bytes += int64(len(body))
	x.at.Seq = h.Seq
	return nil
}

// rowOf is a record as a row of a pack has it.
func rowOf(h *catalog.Hit, body []byte) pack.Row {
	r := pack.Row{
		Info: record.Info{Seq: h.Seq, Time: h.Time, Door: h.Door, Source: h.Source, Bucket: h.Bucket, Key: h.Key, Attrs: h.Sent, Size: h.Size},
		Key:  h.Stored, Attrs: proof.RowAttrs(h.Sent), Body: body,
	}
	if r.Key == "" {
		r.Key = h.Key
	}
	_, _ = hex.Decode(r.Info.Digest[:], []byte(h.SHA256))
	return r
}

// exportToStore writes records into another store, in parts.
func (c *cli) exportToStore(ctx context.Context, s control.Service, expr []string, f *exportFlags) (err error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	dest, err := c.openTarget(ctx, f.out, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTarget(dest)) }()
	status, err := s.Status(ctx)
	if err != nil {
		return err
	}
	st, err := s.Index(ctx)
	if err != nil {
		return err
	}
	parts := &export.Parts{Store: dest.Store, Base: dest.Layout.Base(), Log: status.Log.Name, Form: export.Text{}, At: export.State{Seq: record.Seq(f.after)}}
	if f.format == "parquet" {
		parts.Form = export.Parquet{Log: parts.Log}
	}
	if f.state != "" {
		of := stateOf{Log: parts.Log, Target: storeTarget(f.out), Format: f.format}
		kept := partsState{State: parts.At}
		if _, err := readState(f.state, &kept); err != nil {
			return err
		}
		if err := kept.check(f.state, of); err != nil {
			return err
		}
		parts.At = kept.State
		parts.Keep = func(at export.State) error {
			return writeFile(f.state, func(w io.Writer) error { return writeJSON(w, partsState{at, of}) })
		}
	}
	defer parts.Abandon()
	if err := parts.Resume(ctx); err != nil {
		return err
	}
	from := parts.At.Seq
	var text bytes.Buffer
	x := &exporter{format: f.format, out: bufio.NewWriter(&text)}
	p := c.newProgress(f.progress)
	sum, err := s.Export(ctx, catalog.ExportQuery{Expr: expr, After: from, Scan: f.scan, Sent: true}, func(h catalog.Hit, body io.Reader) error {
		p.show(h.Seq-from, max(st.Newest, h.Seq)-from, x.bytes)
		b, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("read record %d: %w", h.Seq, err)
		}
		item := &export.Item{Row: rowOf(&h, b)}
		if f.format != "parquet" {
			text.Reset()
			h.Sent, h.State = nil, "" // the same bytes whenever they are written
			if _, err := x.text(h, b); err != nil {
				return err
			}
			if err := x.out.Flush(); err != nil {
				return err
			}
			item.Text = text.Bytes()
		}
		x.written, x.bytes, x.at.Seq = x.written+1, x.bytes+int64(len(b)), h.Seq
		return parts.Add(ctx, item)
	})
	p.clear()
	if err == nil {
		err = parts.Close(ctx, max(x.at.Seq, st.Newest))
	}
	if err != nil {
		return errors.Join(err, fmt.Errorf("it has come to record %d: go on with --after %d, or the same --state", parts.At.Seq, parts.At.Seq))
	}
	fmt.Fprintf(c.stderr, "%d records up to seq %d, in %d parts.\n", x.written, parts.At.Seq, parts.Put)
	if x.raw > 0 {
		fmt.Fprintf(c.stderr, "%d of them are no JSON on one line, and stand there as they are.\n", x.raw)
	}
	return c.tellSearch(sum, f.scan)
}

// partsState is how far an export to a store has come, and which.
type partsState struct {
	export.State
	stateOf
}

// openTarget opens a store that records are written into, which is none that holds this log.
func (c *cli) openTarget(ctx context.Context, location string, plain bool) (*setup.Destination, error) {
	l, err := c.load()
	if err != nil {
		return nil, err
	}
	return setup.OpenTarget(ctx, &l.Config, location, plain)
}

func closeTarget(d *setup.Destination) error {
	if d.Close == nil {
		return nil
	}
	return d.Close()
}
