package query_test

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// pending is a spool in memory: what was sent and is not released, or was set
// parked. Under 0 is the newest seq released.
type pending map[record.Seq]sent

type sent struct {
	info record.Info
	body string
}

func (p pending) entry(s sent) record.Entry {
	return record.Entry{Info: s.info, Open: func() (io.ReadSeekCloser, error) { return closer{strings.NewReader(s.body)}, nil }}
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

func (p pending) newest(bucket string) map[string]sent {
	m := map[string]sent{}
	for _, seq := range slices.Sorted(maps.Keys(p)) {
		if s := p[seq]; seq > 0 && s.info.Bucket == bucket {
			m[s.info.Key] = s
		}
	}
	return m
}

func (p pending) Lookup(_ context.Context, bucket, key string) (record.Entry, bool, error) {
	s, ok := p.newest(bucket)[key]
	return p.entry(s), ok, nil
}

func (p pending) Entry(_ context.Context, seq record.Seq) (record.Entry, bool, error) {
	s, ok := p[seq]
	return p.entry(s), ok, nil
}

func (p pending) Keys(_ context.Context, bucket, prefix, after string) iter.Seq2[record.Info, error] {
	return func(yield func(record.Info, error) bool) {
		m := p.newest(bucket)
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if strings.HasPrefix(key, prefix) && key > after && !yield(m[key].info, nil) {
				return
			}
		}
	}
}

func (p pending) Released() record.Seq { return p[0].info.Seq }

func (p pending) Buckets(context.Context) iter.Seq2[record.Bucket, error] {
	return func(func(record.Bucket, error) bool) {}
}

// world is a log: records are sent, and stored as upload does it.
type world struct {
	t       *testing.T
	layout  layout.Objects
	store   store.Store
	pending pending
	seq     record.Seq
}

func newWorld(t *testing.T, prefix string) *world {
	l, err := layout.Parse(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, layout: l, store: dir.Open(crashdisk.New()), pending: pending{}}
}

func (w *world) reader() *query.Reader { return query.New(w.pending, w.store, w.layout) }

func (w *world) send(bucket, key, body string) record.Seq {
	w.seq++
	sum := md5.Sum([]byte(body))
	w.pending[w.seq] = sent{record.Info{
		Seq: w.seq, Time: time.Unix(int64(w.seq), 0).UTC(), Door: "s3", Bucket: bucket, Key: key, Size: int64(len(body)), Digest: sha256.Sum256([]byte(body)),
		Attrs: record.Attrs{{Name: record.AttrMD5, Value: hex.EncodeToString(sum[:])}, {Name: "content-type", Value: "application/json"}},
	}, body}
	return w.seq
}

// deliver stores a record and releases it.
func (w *world) deliver(seq record.Seq) {
	w.t.Helper()
	s := w.pending[seq]
	stored := w.layout.Key(s.info.Bucket, s.info.Key)
	for _, name := range []string{stored, w.layout.Variant(stored, seq)} {
		o := w.layout.Object(s.info, name, "log")
		o.Body = strings.NewReader(s.body)
		_, err := w.store.Put(w.t.Context(), o)
		if err == nil {
			delete(w.pending, seq)
			w.pending[0] = sent{info: record.Info{Seq: max(seq, w.pending.Released())}}
			return
		}
		if store.ClassOf(err) != store.Exists {
			w.t.Fatal(err)
		}
	}
	w.t.Fatal("both names are taken")
}

func (w *world) find(bucket, key string) string {
	w.t.Helper()
	e, ok, err := w.reader().Find(w.t.Context(), bucket, key)
	if err != nil {
		w.t.Fatalf("find %s/%s: %v", bucket, key, err)
	}
	if !ok {
		return ""
	}
	body, err := e.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(body)
	if err != nil {
		w.t.Fatalf("read %s/%s: %v", bucket, key, err)
	}
	return string(b)
}

func (w *world) list(bucket string, o query.ListOptions) []string {
	w.t.Helper()
	var names []string
	for item, err := range w.reader().List(w.t.Context(), bucket, o) {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, cmp.Or(item.Prefix, item.Key))
	}
	return names
}

func TestNewestUnderAKey(t *testing.T) {
	for _, prefix := range []string{"", "audit", "audit/{bucket}"} {
		w := newWorld(t, prefix)
		keys := []string{"a/b.json", "plain", strings.Repeat("k", 1010) + ".json", strings.Repeat("k", 3000) + ".json", "odd\x00/../key", "packs/x"}
		for _, key := range keys {
			for n, body := range []string{"one", "two", "three"} {
				seq := w.send("b", key, body)
				if got := w.find("b", key); got != body {
					t.Errorf("%q: %d %.20q pending reads as %q", prefix, n, key, got)
				}
				w.deliver(seq)
				if got := w.find("b", key); got != body {
					t.Errorf("%q: %d %.20q stored reads as %q", prefix, n, key, got)
				}
			}
		}
		if got := w.find("b", "a/b~2.json"); got != "two" {
			t.Errorf("the variant reads as %q", got)
		}
		if got := w.find("b", "nothing"); got != "" {
			t.Errorf("nothing reads as %q", got)
		}
	}
}

func TestAKeyIsAboutTheSendersBucket(t *testing.T) {
	for _, prefix := range []string{"", "{bucket}"} {
		w := newWorld(t, prefix)
		for _, bucket := range []string{"a", "b"} {
			w.deliver(w.send(bucket, "key", "of "+bucket))
		}
		for _, bucket := range []string{"a", "b"} {
			if got := w.find(bucket, "key"); got != "of "+bucket {
				t.Errorf("prefix %q: %s reads %q", prefix, bucket, got)
			}
		}
		if got := w.find("c", "key"); got != "" {
			t.Errorf("prefix %q: c reads %q", prefix, got)
		}
	}
}

func TestAttributesComeBack(t *testing.T) {
	w := newWorld(t, "p")
	w.deliver(w.send("b", "k", "{}"))
	e, ok, err := w.reader().Find(t.Context(), "b", "k")
	if err != nil || !ok || e.Seq != 1 || e.Door != "s3" || e.Attrs.Get("content-type") != "application/json" || e.Attrs.Get(record.AttrMD5) == "" || !e.Time.Equal(time.Unix(1, 0)) {
		t.Errorf("%+v, %v, %v", e.Info, ok, err)
	}
}

func TestForeignObjectsAreRead(t *testing.T) {
	w := newWorld(t, "")
	if _, err := w.store.Put(t.Context(), store.Object{Key: "old", Body: strings.NewReader("x"), Size: 1, Digest: sha256.Sum256([]byte("x"))}); err != nil {
		t.Fatal(err)
	}
	if got := w.find("b", "old"); got != "x" {
		t.Errorf("reads as %q", got)
	}
}

func TestSeek(t *testing.T) {
	w := newWorld(t, "")
	w.deliver(w.send("b", "k", "0123456789"))
	e, _, err := w.reader().Find(t.Context(), "b", "k")
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	for _, at := range []int64{5, 0, 9, 10} {
		if _, err := body.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err != nil || string(got) != "0123456789"[at:] {
			t.Errorf("from %d: %q, %v", at, got, err)
		}
	}
}

func TestAChangedObjectIsNotRead(t *testing.T) {
	w := newWorld(t, "")
	w.deliver(w.send("b", "k", "true"))
	head, err := w.store.Head(t.Context(), "k", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	lie := store.Object{Key: "k", Body: strings.NewReader("lies"), Size: 4, Digest: sha256.Sum256([]byte("lies")), Meta: head.Meta, Condition: store.Condition{Any: true}}
	if _, err := w.store.Put(t.Context(), lie); err != nil {
		t.Fatal(err)
	}
	e, _, err := w.reader().Find(t.Context(), "b", "k")
	if err != nil {
		t.Fatal(err)
	}
	body, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = body.Close() }()
	if _, err := io.Copy(io.Discard, body); err == nil {
		t.Error("an object with other bytes than its record's was read without a word")
	}
}

func TestListMergesPendingAndStored(t *testing.T) {
	for _, prefix := range []string{"", "x/{bucket}/y"} {
		w := newWorld(t, prefix)
		var want []string
		for i, key := range []string{"2026-11-22/a", "2026-11-22/b", "2026-11-23/c", "_sent/z", "odd\x01", "packs/p", "team/2026-11-22/d", "top", "~last"} {
			seq := w.send("b", key, key)
			if i%2 == 0 {
				w.deliver(seq)
			}
			want = append(want, key)
		}
		w.deliver(w.send("b", "top", "other bytes"))
		want = append(want, "top~10")
		slices.Sort(want)
		if prefix == "" {
			if i := slices.Index(want, "top~10"); i < 0 {
				t.Fatal("no variant expected")
			}
		}
		// top itself was pending when its sibling was stored first: the plain name is the later one's.
		got := w.list("b", query.ListOptions{})
		want = slices.DeleteFunc(want, func(s string) bool { return s == "top~10" })
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: listed\n%q\nwant\n%q", prefix, got, want)
		}
		want = []string{"2026-11-22/", "2026-11-23/", "_sent/", "odd\x01", "packs/", "team/", "top", "~last"}
		if got := w.list("b", query.ListOptions{Delimiter: "/"}); !slices.Equal(got, want) {
			t.Errorf("prefix %q: rolled up\n%q\nwant\n%q", prefix, got, want)
		}
		if got := w.list("b", query.ListOptions{Prefix: "2026-11-2", Delimiter: "/", After: "2026-11-22/"}); !slices.Equal(got, []string{"2026-11-23/"}) {
			t.Errorf("prefix %q: after a common prefix %q", prefix, got)
		}
		if got := w.list("b", query.ListOptions{Prefix: "t", After: "team/2026-11-22/d"}); !slices.Equal(got, []string{"top"}) {
			t.Errorf("prefix %q: after a name %q", prefix, got)
		}
		if got := w.list("elsewhere", query.ListOptions{}); prefix != "" && len(got) > 0 {
			t.Errorf("prefix %q: another bucket lists %q", prefix, got)
		}
	}
}

func TestListOfManyPages(t *testing.T) {
	w := newWorld(t, "")
	var want []string
	for i := range 3500 {
		key := fmt.Sprintf("d%d/%05d", i%7, i)
		seq := w.send("b", key, "x")
		if i%100 == 0 {
			w.deliver(seq)
		}
		want = append(want, key)
	}
	slices.Sort(want)
	if got := w.list("b", query.ListOptions{}); !slices.Equal(got, want) {
		t.Errorf("%d names, want %d", len(got), len(want))
	}
	if got := w.list("b", query.ListOptions{Delimiter: "/"}); len(got) != 7 {
		t.Errorf("rolled up: %q", got)
	}
}

// A record that is released between reading the spool and reading the store,
// at any moment of a list, is in the list.
func TestNoGapWhileDelivering(t *testing.T) {
	w := newWorld(t, "")
	for i := range 2500 {
		w.send("b", fmt.Sprintf("%05d", i), "x")
	}
	seen := map[string]bool{}
	n := 0
	for item, err := range w.reader().List(t.Context(), "b", query.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[item.Key] = true
		if n++; n%250 == 1 {
			for seq := range record.Seq(2500) {
				if _, ok := w.pending[seq+1]; ok && int(seq)%10 == n/250 {
					w.deliver(seq + 1)
				}
			}
		}
	}
	if len(seen) != 2500 {
		t.Errorf("%d of 2500 were listed", len(seen))
	}
}

func TestByID(t *testing.T) {
	w := newWorld(t, "")
	long := "resp_" + strings.Repeat("bGl0ZWxsbTpjdXN0b21f", 12)
	name := "time-10-11-12-000001_" + long
	w.deliver(w.send("b", layout.DefaultKey(time.Unix(0, 0), "chatcmpl-1"), "one"))
	w.send("b", layout.DefaultKey(time.Unix(9, 0), "chatcmpl-2"), "two")
	w.send("b", layout.DefaultKey(time.Unix(9, 0), "chatcmpl_2"), "three")
	w.send("b", fmt.Sprintf("day/%s_%x.json", name[:64], sha256.Sum256([]byte(name))), "four")
	w.send("b", "mine/a_2.json", "five")
	w.send("other", "aa/time-1_chatcmpl-1.json", "six")
	for id, want := range map[string][]record.Seq{"chatcmpl-1": {1}, "chatcmpl-2": {2}, "chatcmpl:2": {3}, "chatcmpl": nil, long: {4}, long[:60]: nil, "2": {5}} {
		var got []record.Seq
		for e, err := range w.reader().ByID(t.Context(), []string{"b"}, id, query.ListOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Seq)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: records %v, want %v", id, got, want)
		}
	}
}

// A list ends, in pages too, and has each name once and in order, whatever is
// pending: keys that are too long are listed under shorter names, which sort elsewhere.
func TestListOverlongKeys(t *testing.T) {
	w := newWorld(t, "audit/{bucket}")
	head := strings.Repeat("a", 1000)
	want := map[string]bool{}
	for i, key := range []string{head + strings.Repeat("z", 200) + ".json", head + strings.Repeat("b", 200) + ".json", head, head + "Z", head + "/x", "zz", "b", strings.Repeat("é", 700)} {
		seq := w.send("b", key, fmt.Sprint(i))
		if i%3 == 2 {
			w.deliver(seq)
		}
		name, _ := w.layout.Sent("b", w.layout.Key("b", key))
		want[name] = true
	}
	for range 1100 { // more than one chunk of names that share a head
		w.send("b", fmt.Sprintf("%s%0200d", head, w.seq), "x")
		name, _ := w.layout.Sent("b", w.layout.Key("b", fmt.Sprintf("%s%0200d", head, w.seq-1)))
		want[name] = true
	}
	for _, limit := range []int{300, 100000} {
		got, after := []string{}, ""
		for page := 0; ; page++ {
			if page > 2*len(want) {
				t.Fatalf("%d pages of %d", page, limit)
			}
			n := 0
			for item, err := range w.reader().List(t.Context(), "b", query.ListOptions{After: after, Limit: limit}) {
				if err != nil {
					t.Fatal(err)
				}
				after = item.Key
				got = append(got, after)
				if n++; n == limit {
					break
				}
			}
			if n == 0 {
				break
			}
		}
		if !slices.IsSorted(got) || len(got) != len(want) {
			t.Errorf("pages of %d: %d names, sorted %v, want %d", limit, len(got), slices.IsSorted(got), len(want))
		}
		for _, name := range got {
			if !want[name] {
				t.Errorf("pages of %d: %.20q… is no name of ours", limit, name)
			}
		}
	}
	// A prefix longer than what the names have in common.
	name, _ := w.layout.Sent("b", w.layout.Key("b", head+strings.Repeat("z", 200)+".json"))
	for _, prefix := range []string{name[:930], name[:len(name)-1], name} {
		found := false
		for item, err := range w.reader().List(t.Context(), "b", query.ListOptions{Prefix: prefix}) {
			found = found || err == nil && item.Key == name
		}
		if !found {
			t.Errorf("%d bytes of its name do not find it", len(prefix))
		}
	}
}

// What is pending is listed where the store is not asked.
func TestListPendingOnly(t *testing.T) {
	w := newWorld(t, "")
	w.deliver(w.send("b", "a", "x"))
	w.send("b", "c", "y")
	var got []string
	for item, err := range w.reader().List(t.Context(), "b", query.ListOptions{PendingOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, item.Key)
	}
	if !slices.Equal(got, []string{"c"}) {
		t.Errorf("%q", got)
	}
}

func TestStored(t *testing.T) {
	w := newWorld(t, "")
	w.deliver(w.send("b", "k", "x"))
	for item, err := range w.reader().List(t.Context(), "b", query.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if item, ok, err := w.reader().Stored(t.Context(), "b", item); err != nil || !ok || item.Seq != 1 || item.Bucket != "b" || item.State != record.Stored {
			t.Errorf("%+v, %v, %v", item, ok, err)
		}
	}
}

// Buckets that share a name space are listed in one pass, with what is pending in each.
func TestListAll(t *testing.T) {
	w := newWorld(t, "")
	w.deliver(w.send("a", "k", "1"))
	w.send("", "k", "2")
	w.send("b", "k", "3")
	w.deliver(w.send("b", "l", "4"))
	for i := range 1200 {
		w.send("b", fmt.Sprintf("m%05d", i), "x")
	}
	w.send("", "m00700", "y")
	w.send("", "m01100", "y")
	var got []string
	for item, err := range w.reader().ListAll(t.Context(), []string{"", "a", "b"}, query.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Key < "m" || item.Bucket == "" {
			got = append(got, fmt.Sprint(item.Key, " ", item.Bucket, " ", item.State, " ", item.Shadows))
		}
	}
	want := []string{"k  pending true", "k b pending true", "l  stored false", "m00700  pending false", "m01100  pending false"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A record that was parked does not hide a newer one that was stored and released.
func TestParkedDoesNotHideTheNewer(t *testing.T) {
	w := newWorld(t, "")
	w.send("b", "k", "older, parked")
	w.deliver(w.send("b", "k", "newer"))
	if got := w.find("b", "k"); got != "newer" {
		t.Errorf("got %q", got)
	}
	w.send("b", "other", "parked")
	w.deliver(w.send("b", "else", "x"))
	if got := w.find("b", "other"); got != "parked" {
		t.Errorf("got %q", got)
	}
}

// lists counts how often a store is listed.
type lists struct {
	*dir.Store
	n int
}

func (l *lists) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	l.n++
	return l.Store.List(ctx, o)
}

// A directory is not listed for a key that has no variant: a read costs the same however much lies
// beside it.
func TestFindListsForVariantsAlone(t *testing.T) {
	w := newWorld(t, "")
	l := &lists{Store: dir.Open(crashdisk.New())}
	w.store = l
	w.deliver(w.send("b", "day/a.json", "1"))
	w.deliver(w.send("b", "day/c.json", "1"))
	w.deliver(w.send("b", "day/c.json", "2"))
	for _, c := range []struct {
		key   string
		seq   record.Seq
		lists int
	}{{"day/a.json", 1, 0}, {"day/nosuch.json", 0, 0}, {"day/c.json", 3, 1}} {
		l.n = 0
		e, _, err := w.reader().Find(t.Context(), "b", c.key)
		if err != nil || e.Seq != c.seq || l.n != c.lists {
			t.Errorf("%s: record %d after %d lists, %v; want %d after %d", c.key, e.Seq, l.n, err, c.seq, c.lists)
		}
	}
}
