package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"indelible/internal/catalog"
	"indelible/internal/control"
	"indelible/internal/record"
	"indelible/internal/replay"
	"indelible/internal/store"
	"indelible/internal/term"
)

// Bounds of the records that are put together.
const (
	replayRecords = 256
	replayBytes   = 16 << 20
	replayAtOnce  = 16
)

// storedRecord is a record to be put.
type storedRecord struct {
	info record.Info
	body []byte
}

// intoStore puts the records into another store.
func (r *replaying) intoStore(ctx context.Context, s control.Service, expr []string) (err error) {
	dest, err := r.c.openTarget(ctx, r.f.store, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTarget(dest)) }()
	st, err := s.Status(ctx)
	if err != nil {
		return err
	}
	r.store = &replay.Store{Store: dest.Store, Names: dest.Layout, Log: st.Log.Name}
	return r.run(ctx, s, expr)
}

// hold adds a record, and puts what has come together.
func (r *replaying) hold(ctx context.Context, h catalog.Hit, body []byte) error {
	row := rowOf(&h, nil)
	r.records = append(r.records, storedRecord{row.Info, body})
	r.held += int64(len(body))
	r.at.Seq = h.Seq
	if len(r.records) < replayRecords && r.held < replayBytes {
		return nil
	}
	if err := r.putAll(ctx); err != nil {
		return err
	}
	return r.keep(r.at.Seq)
}

// putAll puts the records that wait, those of one key in their order.
func (r *replaying) putAll(ctx context.Context) error {
	refused := make([]error, len(r.records))
	byKey := map[string][]int{}
	for i, rec := range r.records {
		key := r.store.Names.Key(rec.info.Bucket, rec.info.Key)
		byKey[key] = append(byKey[key], i)
	}
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(replayAtOnce)
	for _, these := range byKey {
		g.Go(func() (err error) {
			for _, i := range these {
				if refused[i], err = r.put(running, &r.records[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, why := range refused {
		if why == nil {
			r.sent++
		} else if err := r.refuse(fmt.Sprint(r.records[i].info.Seq), why); err != nil {
			return err
		}
	}
	r.records, r.held = nil, 0
	return nil
}

// put puts one, again and again where nothing is known of what became of it.
func (r *replaying) put(ctx context.Context, rec *storedRecord) (refused, err error) {
	for try := 1; ; try++ {
		refused, err = r.store.Put(ctx, rec.info, rec.body)
		class := store.ClassOf(err)
		if err == nil || try >= r.f.tries || ctx.Err() != nil || class == store.Credentials || class == store.Configuration {
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
