package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/record"
	"indelible/internal/replay"
	"indelible/internal/term"
)

// replayFlags are replay's own.
type replayFlags struct {
	litellm, url, store string
	state               string
	headers             []string
	after               uint64
	tries               int
	scan, json          bool
	progress            bool
}

func (c *cli) replayCmd() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [EXPR...]",
		Short: "Send records to LiteLLM, an HTTP endpoint or another store",
		Long: `replay sends every record of which a call matches, oldest first: with --litellm to a LiteLLM
proxy, which gives each to all its callbacks (POST /v1/rust_control_plane/logs: spend logs,
Langfuse and others are filled again), with --url as one POST a record to an endpoint, or with --store
into another bucket or directory, each under its key and with its headers and metadata, where it is not there already. A
record that is refused is named with the reason, and the others go on; the status is then 1.
What does not answer is asked again, --tries times. INDELIBLE_REPLAY_TOKEN in the environment
is sent as "Authorization: Bearer".
` + exprHelp + `

Who was sent a record twice has it twice: --state keeps in a file how far it has come, and the same
call goes on from there. What was under way when it was cut is sent again.`,
		Example: `  INDELIBLE_REPLAY_TOKEN=sk-... indelible replay --litellm http://127.0.0.1:4000 since=7d --state replay.state
  indelible replay --store s3://litellm-logs --state replay.state
  indelible replay --url https://collector.example/records team=alpha start>=2026-11-01`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := f.sink()
			if err != nil {
				return err
			}
			if f.state != "" && cmd.Flags().Changed("after") {
				return &usageError{problem: "--state and --after: the state file says where to go on; give one of them"}
			}
			if err := checkExpr(args); err != nil {
				return err
			}
			return c.withService(cmd.Context(), func(s control.Service) error {
				r := &replaying{c: c, f: &f, sink: to}
				if f.store == "" {
					return r.run(cmd.Context(), s, args)
				}
				return r.intoStore(cmd.Context(), s, args)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.litellm, "litellm", "", "a LiteLLM proxy's `URL`")
	flags.StringVar(&f.url, "url", "", "an endpoint's `URL`, which gets one POST a record")
	flags.StringVar(&f.store, "store", "", "another store's `LOCATION`: s3://bucket/prefix, or file:///dir")
	flags.StringArrayVar(&f.headers, "header", nil, "a header of each request, `\"NAME: VALUE\"`")
	flags.StringVar(&f.state, "state", "", "keep in `FILE` how far it has come, and go on from there")
	flags.Uint64Var(&f.after, "after", 0, "only records behind `SEQ`")
	flags.IntVar(&f.tries, "tries", 5, "how often what does not answer is asked, `N` times in a row")
	bindProgress(cmd, &f.progress)
	flags.BoolVar(&f.scan, "scan", false, "read every record, and do not ask the index")
	flags.BoolVar(&f.json, "json", false, "one JSON value a line: each refusal, and at the end the sums")
	return cmd
}

// sink is where payloads are sent; nil with --store, where records are.
func (f *replayFlags) sink() (replay.Sink, error) {
	given := 0
	for _, to := range []string{f.litellm, f.url, f.store} {
		if to != "" {
			given++
		}
	}
	if given != 1 {
		return nil, &usageError{problem: "say where to: --litellm URL, --url URL or --store LOCATION"}
	}
	if f.tries < 1 {
		return nil, &usageError{problem: "--tries: want 1 or more"}
	}
	if f.store != "" {
		return nil, nil
	}
	h := replay.HTTP{URL: f.litellm + f.url, Header: http.Header{}}
	if !strings.HasPrefix(h.URL, "http://") && !strings.HasPrefix(h.URL, "https://") {
		return nil, &usageError{problem: fmt.Sprintf("%q is no URL: want http://… or https://…", h.URL)}
	}
	for _, text := range f.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok {
			return nil, &usageError{problem: fmt.Sprintf("--header: want \"NAME: VALUE\", not %q", text)}
		}
		h.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if token := os.Getenv("INDELIBLE_REPLAY_TOKEN"); token != "" {
		h.Header.Set("Authorization", "Bearer "+token)
	}
	if f.url != "" {
		return &replay.Endpoint{HTTP: h}, nil
	}
	return &replay.LiteLLM{HTTP: h}, nil
}

// target names what is replayed into.
func (f *replayFlags) target() string {
	switch {
	case f.litellm != "":
		return urlTarget("LiteLLM", f.litellm)
	case f.url != "":
		return urlTarget("endpoint", f.url)
	}
	return "store " + storeTarget(f.store)
}

// replayBatch is how many payloads are sent at a time.
const replayBatch = 50

// replaying is one replay under way.
type replaying struct {
	c             *cli
	f             *replayFlags
	sink          replay.Sink   // nil: store
	store         *replay.Store // nil: sink
	batch         []replay.Payload
	records       []storedRecord
	held          int64       // bytes in records
	at            exportState // what is in batch included
	sent, refused int
	bytes         int64 // of the records read
}

func (r *replaying) run(ctx context.Context, s control.Service, expr []string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, f := r.c, r.f
	of := stateOf{Target: f.target()}
	if f.state != "" {
		status, err := s.Status(ctx)
		if err != nil {
			return err
		}
		of.Log = status.Log.Name
	}
	at, _, err := loadState(f.state, of)
	if err != nil {
		return err
	}
	at.Seq = max(at.Seq, record.Seq(f.after))
	st, err := s.Index(ctx)
	if err != nil {
		return err
	}
	r.at = at
	p := c.newProgress(f.progress)
	done := at.Seq
	sum, err := s.Export(ctx, catalog.ExportQuery{Expr: expr, After: at.Seq, Scan: f.scan, Sent: r.store != nil}, func(h catalog.Hit, body io.Reader) error {
		p.show(h.Seq-at.Seq, max(st.Newest, h.Seq)-at.Seq, r.bytes)
		if err := r.record(ctx, h, body); err != nil {
			return err
		}
		if len(r.batch)+len(r.records) == 0 {
			done = h.Seq
		}
		return nil
	})
	if err == nil {
		if err = r.flush(ctx); err == nil {
			done = max(r.at.Seq, st.Newest)
			err = r.keep(done)
		}
	}
	p.clear()
	if err != nil {
		return errors.Join(err, fmt.Errorf("it has come to record %d: go on with --after %d, or the same --state", done, done))
	}
	return r.end(sum, done)
}

// record adds a record, and sends what has come together.
func (r *replaying) record(ctx context.Context, h catalog.Hit, body io.Reader) error {
	b, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("read record %d: %w", h.Seq, err)
	}
	r.bytes += int64(len(b))
	if r.store != nil {
		return r.hold(ctx, h, b)
	}
	payloads, err := replay.Payloads(fmt.Sprint(h.Seq), b)
	if err != nil {
		if err := r.refuse(fmt.Sprint(h.Seq), err); err != nil {
			return err
		}
	}
	r.batch, r.at.Seq = append(r.batch, payloads...), h.Seq
	if len(r.batch) < replayBatch {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.keep(r.at.Seq)
}

// flush sends the batch, again and again where nothing is known of what became of it.
func (r *replaying) flush(ctx context.Context) error {
	if r.store != nil {
		return r.putAll(ctx)
	}
	for len(r.batch) > 0 {
		part := r.batch[:min(replayBatch, len(r.batch))]
		refused, err := r.send(ctx, part)
		if err != nil {
			return err
		}
		r.batch = r.batch[len(part):]
		for i, why := range refused {
			if why == nil {
				r.sent++
			} else if err := r.refuse(part[i].Name, why); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *replaying) send(ctx context.Context, part []replay.Payload) (refused []error, err error) {
	for try := 1; ; try++ {
		if refused, err = r.sink.Send(ctx, part); err == nil || try >= r.f.tries || ctx.Err() != nil {
			return refused, err
		}
		fmt.Fprintf(r.c.stderr, "%s; it is tried again\n", term.Plain(term.Quote(err.Error())))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second << min(try-1, 5)):
		}
	}
}

// refuse says that a payload was refused.
func (r *replaying) refuse(name string, why error) (err error) {
	r.refused++
	if r.f.json {
		return writeJSON(r.c.stdout, map[string]string{"record": name, "error": why.Error()})
	}
	_, err = fmt.Fprintf(r.c.stdout, "refused  %s  %s\n", name, term.Quote(why.Error()))
	return err
}

// keep notes how far it has come.
func (r *replaying) keep(seq record.Seq) error {
	if r.f.state == "" {
		return nil
	}
	return writeFile(r.f.state, func(w io.Writer) error { return writeJSON(w, exportState{Seq: seq, stateOf: r.at.stateOf}) })
}

func (r *replaying) end(sum catalog.SearchSummary, done record.Seq) error {
	var err error
	if r.f.json {
		err = writeJSON(r.c.stdout, map[string]any{"sent": r.sent, "refused": r.refused, "seq": done})
	} else {
		_, err = fmt.Fprintf(r.c.stdout, "%d sent, %d refused, up to seq %d.\n", r.sent, r.refused, done)
	}
	if err = errors.Join(err, r.c.tellSearch(sum, r.f.scan)); err == nil && r.refused > 0 {
		return quietError{}
	}
	return err
}
