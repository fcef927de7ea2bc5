package query_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// putPack stores a pack of one record, "k<seq>", that arrived at that time.
func putPack(t *testing.T, st store.Store, names layout.Objects, seq record.Seq, at time.Time) {
	t.Helper()
	putPackOf(t, st, names, seq, at, fmt.Sprint("k", seq))
}

func putPackOf(t *testing.T, st store.Store, names layout.Objects, seq record.Seq, at time.Time, key string) {
	t.Helper()
	body := fmt.Appendf(nil, "body %d", seq)
	info := record.Info{Seq: seq, Time: at, Door: "s3", Bucket: "b", Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body)}
	var b bytes.Buffer
	w, err := pack.NewWriter(&b, pack.Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(&pack.Row{Info: info, Key: names.Key("b", info.Key), Body: body}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o := names.Pack(record.Pack{First: seq, Last: seq, Time: at, Key: names.PackKey("test", seq, seq, at), Size: int64(b.Len()), Digest: sha256.Sum256(b.Bytes())}, "test")
	o.Body = bytes.NewReader(b.Bytes())
	if _, err := st.Put(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

// A pack that another overtook on its way to the store is found once it is there, on whichever day it began.
func TestPackOvertaken(t *testing.T) {
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{0, 1, 3} {
		st := dir.Open(crashdisk.New())
		spool := pending{0: {info: record.Info{Seq: 1}}}
		r := query.New(spool, st, names).WithPacks()
		day := time.Date(2026, 11, 1, 23, 0, 0, 0, time.UTC)
		find := func(key string, want bool) {
			t.Helper()
			if _, ok, err := r.Find(t.Context(), "b", key); err != nil || ok != want {
				t.Errorf("%d days: %s: %v, %v, want %v", days, key, ok, err, want)
			}
		}
		putPack(t, st, names, 1, day)
		putPack(t, st, names, 3, day.AddDate(0, 0, 1+days))
		find("k1", true)
		find("k2", false)
		putPack(t, st, names, 2, day.AddDate(0, 0, 1))
		spool[0] = sent{info: record.Info{Seq: 3}}
		for seq := range 3 {
			find(fmt.Sprint("k", seq+1), true)
		}
	}
}

// A list reads the rows of no pack whose keys lie elsewhere, and misses none: whatever bytes the keys, the prefix and the place to go on from are.
func TestPackListBounds(t *testing.T) {
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	st := &readBytes{Store: dir.Open(crashdisk.New())}
	at := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	keys := []string{"2026-11-27/a", "2026-11-28/a", "2026-11-28/b", "2026-11-29/" + strings.Repeat("long", 200), "a", "a\xc4", "a\xff", "a\U0001F600", "aé", "b\xff\xff", "\uffff"}
	for i, key := range keys {
		putPackOf(t, st, names, record.Seq(i+1), at, key)
	}
	list := func(prefix, after string) (got []string) {
		t.Helper()
		for item, err := range query.New(pending{}, st, names).WithPacks().List(t.Context(), "b", query.ListOptions{Prefix: prefix, After: after}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, item.Key)
		}
		return got
	}
	for _, prefix := range append(keys, "", "2026-11-28/", "a", "\xff", "z") {
		for _, after := range append(keys, "", "2026-11-28", "\xef") {
			var want []string
			for _, key := range slices.Sorted(slices.Values(keys)) {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			if got := list(prefix, after); !slices.Equal(got, want) {
				t.Errorf("prefix %q after %q: %q, not %q", prefix, after, got, want)
			}
		}
	}
	r := query.New(pending{}, st, names).WithPacks()
	st.gets.Store(0)
	for _, err := range r.List(t.Context(), "b", query.ListOptions{Prefix: "2026-11-28/"}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := int(st.gets.Load()); n > len(keys)+6 {
		t.Errorf("%d reads of %d packs, few of which have such keys", n, len(keys))
	}
}

// readBytes counts reads.
type readBytes struct {
	store.Store
	gets atomic.Int64
}

func (r *readBytes) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	r.gets.Add(1)
	return r.Store.Get(ctx, key, o)
}
