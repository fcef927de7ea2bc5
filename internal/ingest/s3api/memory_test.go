package s3api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"indelible/internal/query"
	"indelible/internal/record"
)

// memory is a spool and a reader of it, for what only a spool under our control
// can show: holding, failing, the moment between check and commit.
type memory struct {
	mu      sync.Mutex
	entries []record.Entry
	// before, if set, is called with the record sealed and not yet committed.
	before func(ctx context.Context, r record.Record) error
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func (m *memory) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
	sum := record.Digest(sha256.Sum256(body))
	attrs, err := r.Seal(sum, int64(len(body)))
	if err != nil {
		return record.Receipt{}, fmt.Errorf("append: %w", err)
	}
	if m.before != nil {
		if err := m.before(ctx, r); err != nil {
			return record.Receipt{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.entries {
		if e.Bucket == r.Bucket && e.Key == r.Key && e.Digest == sum {
			return record.Receipt{Log: "mem", Seq: e.Seq, Time: e.Time, Digest: sum, Size: e.Size, Resent: true}, nil
		}
	}
	info := record.Info{Seq: record.Seq(len(m.entries) + 1), Time: time.Now().UTC(), Door: r.Door, Source: r.Source, Bucket: r.Bucket,
		Key: r.Key, Attrs: append(slices.Clone(r.Attrs), attrs...), Size: int64(len(body)), Digest: sum}
	m.entries = append(m.entries, record.Entry{Info: info, Open: func() (io.ReadSeekCloser, error) {
		return nopCloser{bytes.NewReader(body)}, nil
	}})
	return record.Receipt{Log: "mem", Seq: info.Seq, Time: info.Time, Digest: sum, Size: info.Size}, nil
}

func (m *memory) Find(_ context.Context, bucket, key string) (record.Entry, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Backward(m.entries) {
		if e.Bucket == bucket && e.Key == key {
			return e, true, nil
		}
	}
	return record.Entry{}, false, nil
}

func (m *memory) List(_ context.Context, bucket string, o query.ListOptions) iter.Seq2[query.Item, error] {
	m.mu.Lock()
	newest := map[string]record.Info{}
	for _, e := range m.entries {
		if e.Bucket == bucket && strings.HasPrefix(e.Key, o.Prefix) {
			newest[e.Key] = e.Info
		}
	}
	m.mu.Unlock()
	var items []query.Item
	for key, info := range newest {
		item := query.Item{Info: info}
		if i := strings.Index(key[len(o.Prefix):], o.Delimiter); o.Delimiter != "" && i >= 0 {
			item = query.Item{Prefix: key[:len(o.Prefix)+i+len(o.Delimiter)]}
		}
		if item.Key+item.Prefix > o.After {
			items = append(items, item)
		}
	}
	slices.SortFunc(items, func(a, b query.Item) int { return strings.Compare(a.Key+a.Prefix, b.Key+b.Prefix) })
	items = slices.CompactFunc(items, func(a, b query.Item) bool { return a.Prefix != "" && a.Prefix == b.Prefix })
	return func(yield func(query.Item, error) bool) {
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

func (m *memory) Buckets(context.Context) iter.Seq2[record.Bucket, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, e := range m.entries {
		names = append(names, e.Bucket)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return func(yield func(record.Bucket, error) bool) {
		for _, n := range names {
			if !yield(record.Bucket{Name: n, Since: time.Unix(0, 0)}, nil) {
				return
			}
		}
	}
}
