package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/crosscheck"
	"indelible/internal/record"
)

// reconcileWire compares LiteLLM's records with those of the recording proxy.
func (c *cli) reconcileWire(ctx context.Context, f *reconcileFlags) error {
	if f.against != "proxy" {
		return &usageError{problem: fmt.Sprintf("--against: %q is not known: it can be proxy", f.against)}
	}
	if f.keysOnly || f.allowEmpty || f.vkey != "" || f.format.Form != "" || f.format.Column != "" {
		return &usageError{problem: "--against proxy compares records of the log with each other: it takes --since, --until and --json alone"}
	}
	var expr []string
	for _, bound := range [][2]string{{"since", f.since}, {"until", f.until}} {
		if bound[1] != "" {
			expr = append(expr, bound[0]+"="+bound[1])
		}
	}
	if err := checkExpr(expr); err != nil {
		return err
	}
	return c.withService(ctx, func(s control.Service) error {
		st, err := s.Index(ctx)
		if err != nil {
			return err
		}
		p := c.newProgress(f.progress)
		r, err := crossCheck(ctx, s, expr, func(seq record.Seq) { p.show(seq, max(st.Newest, seq), 0) })
		p.clear()
		switch {
		case err != nil:
			return err
		case f.json:
			err = writeJSON(c.stdout, struct {
				OK bool `json:"ok"`
				crosscheck.Result
			}{r.OK(), r})
		default:
			err = printCrossCheck(c.stdout, &r)
		}
		if err == nil && !r.OK() {
			err = quietError{}
		}
		return err
	})
}

// crossCheck compares the records that the expression selects; progress is told up to which seq.
func crossCheck(ctx context.Context, s control.Searcher, expr []string, progress func(record.Seq)) (crosscheck.Result, error) {
	var check crosscheck.Check
	sum, err := s.Export(ctx, catalog.ExportQuery{Expr: expr}, func(h catalog.Hit, body io.Reader) error {
		progress(h.Seq)
		b, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("read record %d: %w", h.Seq, err)
		}
		return check.Add(h.Seq, h.Door, b)
	})
	if err == nil && sum.Missing != "" {
		err = fmt.Errorf("not everything could be compared: %s", sum.Missing)
	}
	if err == nil && sum.Unread > 0 {
		err = fmt.Errorf("%d records could not be read, so nothing is concluded: run verify", sum.Unread)
	}
	if err != nil {
		return crosscheck.Result{}, err
	}
	r := check.Result()
	if r.Wire == 0 {
		return r, errors.New("there is no call that the proxy recorded in this span: send calls through it (indelible litellm config --proxy)")
	}
	return r, nil
}

func printCrossCheck(w io.Writer, r *crosscheck.Result) error {
	var b strings.Builder
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "missing   %s  %s  http %d, %s  %s  (call %s, seq %d)\n", m.Time.UTC().Format(time.RFC3339), m.URL, m.HTTP, m.Ended, m.Model, m.CallID, m.Seq)
	}
	if more := r.Lost - len(r.Missing); more > 0 {
		fmt.Fprintf(&b, "missing   and %d more\n", more)
	}
	for _, d := range r.Differ {
		kind := "disagree"
		if len(d.Fields) == 1 && d.Fields[0].Name == "served_model" {
			kind = "model   "
		}
		parts := make([]string, 0, len(d.Fields))
		for _, f := range d.Fields {
			parts = append(parts, f.String())
		}
		fmt.Fprintf(&b, "%s  %s  %s  %s  (seq %d and %d)\n", kind, d.Time.UTC().Format(time.RFC3339), d.ID, strings.Join(parts, "; "), d.Seq, d.LiteLLM)
	}
	if more := r.Disagree + r.Models - len(r.Differ); more > 0 {
		fmt.Fprintf(&b, "disagree  and %d more\n", more)
	}
	fmt.Fprintf(&b, "%d calls on the wire: LiteLLM has a record of %d and none of %d; they disagree on %d, and only on the model's name on %d. LiteLLM has %d records of calls that the wire did not see (its cache, mocks, or past the proxy)\n",
		r.Wire, r.Matched, r.Lost, r.Disagree, r.Models, r.Unseen)
	_, err := io.WriteString(w, b.String())
	return err
}
