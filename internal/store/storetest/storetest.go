// Package storetest is the contract of store.Store as a test suite: every
// driver runs it.
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Options say where a driver cannot do all that S3 can.
type Options struct {
	// FileNames: keys become file names in the store (versitygw's posix
	// backend): components over 255 bytes, empty ones, and a key that is a
	// directory of another are left out.
	FileNames bool
}

// Run runs the suite. open gives an empty store each time; it may skip.
func Run(t *testing.T, o Options, open func(t *testing.T) store.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Options, store.Store)
	}{
		{"PutGetHead", testPutGetHead},
		{"Keys", testKeys},
		{"Attributes", testAttributes},
		{"Ranges", testRanges},
		{"Exists", testExists},
		{"OneWinner", testOneWinner},
		{"Replace", testReplace},
		{"Mismatch", testMismatch},
		{"NotFound", testNotFound},
		{"List", testList},
		{"Delimiter", testDelimiter},
		{"Cancelled", testCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, o, open(t)) })
	}
}

// Object is an object with this body, to be changed and put.
func Object(key, body string) store.Object {
	return store.Object{Key: key, Body: strings.NewReader(body), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body))}
}

// MustPut puts an object or fails the test.
func MustPut(t *testing.T, s store.Store, o store.Object) store.Info {
	t.Helper()
	info, err := s.Put(t.Context(), o)
	if err != nil {
		t.Fatalf("put %q: %v", o.Key, err)
	}
	return info
}

// Read is the body under key, or what Get said.
func Read(t *testing.T, s store.Store, key string, o store.GetOptions) (string, store.Info, error) {
	t.Helper()
	body, info, err := s.Get(t.Context(), key, o)
	if err != nil {
		return "", info, err
	}
	b, err := io.ReadAll(body)
	return string(b), info, errors.Join(err, body.Close())
}

func wantClass(t *testing.T, what string, err error, want store.Class) {
	t.Helper()
	if e, ok := errors.AsType[*store.Error](err); !ok || e.Class != want {
		t.Errorf("%s: %v, want class %v", what, err, want)
	}
}

func testPutGetHead(t *testing.T, _ Options, s store.Store) {
	for _, size := range []int{0, 1, 4096, 300_000} {
		body := strings.Repeat("x", size)
		key := fmt.Sprintf("sizes/%d.json", size)
		put := MustPut(t, s, Object(key, body))
		got, info, err := Read(t, s, key, store.GetOptions{})
		if err != nil || got != body || info.Size != int64(size) || info.Key != key {
			t.Fatalf("get %s: %d bytes, %+v, %v", key, len(got), info, err)
		}
		head, err := s.Head(t.Context(), key, store.GetOptions{})
		if err != nil || head.Size != int64(size) || head.ETag == "" || head.ETag != put.ETag || head.ETag != info.ETag {
			t.Errorf("head %s: %+v, %v; put said %+v", key, head, err, put)
		}
		if head.Digest != sha256.Sum256([]byte(body)) {
			t.Errorf("head %s tells SHA-256 %s", key, head.Digest)
		}
		if head.ModTime.IsZero() {
			t.Errorf("head %s tells no time", key)
		}
	}
}

// oddKeys are keys that have hurt stores before.
func oddKeys(o Options) []string {
	keys := []string{
		"2026-11-22/time-01-02-03-000004_resp_a=b+c.json", "My Team/R&D + Ops/x=y", "team#1/a?b", "a%2Fb", "a%b", "100%", "ünïcode/日本",
		"a:b", "tab~1.json", "star*", `back\slash`, `quo"te`, "semi;colon", "a,b", "(a)", "a'b", "$a", "@a", "!a", "a|b", "<a>", "{a}", "[a]", "^a", "`a`", ".hidden", "..two", "a.", "CON", "_indelible/log-1/checkpoint", "_indelible/log-1/tile/0/000.p/1",
	}
	if !o.FileNames {
		keys = append(keys, "dir", "dir/below", "dir/below/more", "a//b", "trailing/", "/leading", strings.Repeat("n", 1024), strings.Repeat("é", 300)+"/x", strings.Repeat("n", 600)+"/"+strings.Repeat("m", 400), "%", "a/%/b", "%d", "x%d/y", "x%f", "_indelible/.meta/x", "_indelible/.tmp/x", "_indelible/.meta", "_Indelible/.META/x", "_indelible/.Tmp")
	}
	return keys
}

func testKeys(t *testing.T, o Options, s store.Store) {
	keys := oddKeys(o)
	for _, key := range keys {
		MustPut(t, s, Object(key, "body of "+key))
	}
	for _, key := range keys {
		if got, _, err := Read(t, s, key, store.GetOptions{}); err != nil || got != "body of "+key {
			t.Errorf("get %q: %q, %v", key, got, err)
		}
	}
	slices.Sort(keys)
	if got := list(t, s, store.ListOptions{}); !slices.Equal(got, keys) {
		t.Errorf("list:\n%q\nwant\n%q", got, keys)
	}
	if _, err := s.Put(t.Context(), Object(strings.Repeat("k", store.MaxKey+1), "x")); err == nil {
		t.Error("a key over the limit was taken")
	}
}

func testAttributes(t *testing.T, _ Options, s store.Store) {
	o := Object("attributes.json", "{}")
	o.Header = map[string]string{"content-type": "application/json", "content-disposition": `inline; filename="a b.json"`, "cache-control": "private, immutable", "content-language": "en"}
	o.Meta = map[string]string{"indelible-seq": "7", "team": "alpha"}
	MustPut(t, s, o)
	_, got, err := Read(t, s, o.Key, store.GetOptions{})
	if err != nil || !maps.Equal(got.Meta, o.Meta) {
		t.Errorf("metadata %v, %v", got.Meta, err)
	}
	head, err := s.Head(t.Context(), o.Key, store.GetOptions{})
	if err != nil || !maps.Equal(head.Meta, o.Meta) {
		t.Errorf("head's metadata %v, %v", head.Meta, err)
	}
	for name, value := range o.Header {
		if got.Header[name] != value || head.Header[name] != value {
			t.Errorf("header %s: %q and %q, want %q", name, got.Header[name], head.Header[name], value)
		}
	}
	o = Object("unknown header", "{}")
	o.Header = map[string]string{"x-frame-options": "deny"}
	if _, err := s.Put(t.Context(), o); err == nil {
		t.Error("a header that objects do not have was taken")
	}
}

func testRanges(t *testing.T, _ Options, s store.Store) {
	MustPut(t, s, Object("range", "0123456789"))
	for _, c := range []struct {
		from, to int64
		want     string
	}{{0, 0, "0123456789"}, {3, 7, "3456"}, {9, 10, "9"}, {4, 0, "456789"}, {0, 1, "0"}} {
		got, info, err := Read(t, s, "range", store.GetOptions{From: c.from, To: c.to})
		if err != nil || got != c.want || info.Size != 10 {
			t.Errorf("bytes %d to %d: %q of %d, %v", c.from, c.to, got, info.Size, err)
		}
	}
}

func testExists(t *testing.T, _ Options, s store.Store) {
	first := MustPut(t, s, Object("taken", "first"))
	for _, body := range []string{"first", "other"} {
		_, err := s.Put(t.Context(), Object("taken", body))
		wantClass(t, "put "+body+" over first", err, store.Exists)
	}
	if got, info, _ := Read(t, s, "taken", store.GetOptions{}); got != "first" || info.ETag != first.ETag {
		t.Errorf("the object became %q", got)
	}
}

func testOneWinner(t *testing.T, _ Options, s store.Store) {
	var wins atomic.Int32
	var winner atomic.Value
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			body := fmt.Sprint("writer ", i)
			// A race that was lost for both (409) is run again, as the uploader does.
			for range 100 {
				_, err := s.Put(context.WithoutCancel(t.Context()), Object("race", body))
				if err == nil {
					wins.Add(1)
					winner.Store(body)
					return
				}
				if _, err := s.Head(context.WithoutCancel(t.Context()), "race", store.GetOptions{}); err == nil {
					return
				}
			}
		})
	}
	all.Wait()
	got, _, err := Read(t, s, "race", store.GetOptions{})
	if wins.Load() != 1 || err != nil || got != winner.Load() {
		t.Errorf("%d writers won; the object is %q, %v", wins.Load(), got, err)
	}
}

func testReplace(t *testing.T, _ Options, s store.Store) {
	any := Object("head", "one")
	any.Condition.Any = true
	first := MustPut(t, s, any)
	next := Object("head", "two")
	next.Meta = map[string]string{"n": "2"}
	next.Condition.Match = first.ETag
	second := MustPut(t, s, next)
	if second.ETag == first.ETag {
		t.Error("other bytes have the same ETag")
	}
	stale := Object("head", "three")
	stale.Condition.Match = first.ETag
	_, err := s.Put(t.Context(), stale)
	wantClass(t, "put over a stale ETag", err, store.Exists)
	absent := Object("nothing here", "x")
	absent.Condition.Match = first.ETag
	if _, err := s.Put(t.Context(), absent); err == nil {
		t.Error("an ETag matched an object that is not there")
	}
	got, info, err := Read(t, s, "head", store.GetOptions{})
	if err != nil || got != "two" || info.Meta["n"] != "2" || info.ETag != second.ETag {
		t.Errorf("after replacing: %q, %+v, %v", got, info, err)
	}
}

func testMismatch(t *testing.T, _ Options, s store.Store) {
	lie := Object("lie", "true")
	lie.Digest = record.Digest{1}
	if _, err := s.Put(t.Context(), lie); err == nil {
		t.Error("a body was stored under another digest")
	}
	short := Object("short", "12345")
	short.Body = bytes.NewReader([]byte("123"))
	if _, err := s.Put(t.Context(), short); err == nil {
		t.Error("a short body was stored")
	}
	for _, key := range []string{"lie", "short"} {
		_, err := s.Head(t.Context(), key, store.GetOptions{})
		wantClass(t, "head "+key, err, store.NotFound)
	}
	MustPut(t, s, Object("lie", "true"))
}

func testNotFound(t *testing.T, _ Options, s store.Store) {
	MustPut(t, s, Object("a/b", "x"))
	for _, key := range []string{"c", "a", "a/c", "a/bb"} {
		_, err := s.Head(t.Context(), key, store.GetOptions{})
		wantClass(t, "head "+key, err, store.NotFound)
		_, _, err = Read(t, s, key, store.GetOptions{})
		wantClass(t, "get "+key, err, store.NotFound)
	}
}

// list is the keys of a List, prefixes marked by a leading "P:".
func list(t *testing.T, s store.Store, o store.ListOptions) []string {
	t.Helper()
	var keys []string
	for info, err := range s.List(t.Context(), o) {
		if err != nil {
			t.Fatalf("list %+v: %v", o, err)
		}
		if info.Prefix {
			info.Key = "P:" + info.Key
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func testList(t *testing.T, _ Options, s store.Store) {
	keys := []string{"a-b/1", "a.json", "a/1", "a/2", "a/3/x", "a0", "b"}
	for _, key := range slices.Backward(keys) {
		MustPut(t, s, Object(key, key))
	}
	for _, c := range []struct {
		o    store.ListOptions
		want []string
	}{
		{store.ListOptions{}, keys},
		{store.ListOptions{Prefix: "a/"}, []string{"a/1", "a/2", "a/3/x"}},
		{store.ListOptions{Prefix: "a"}, keys[:6]},
		{store.ListOptions{Prefix: "a/", After: "a/1"}, []string{"a/2", "a/3/x"}},
		{store.ListOptions{After: "a/1"}, keys[3:]},
		{store.ListOptions{After: "a/15", Limit: 1}, keys[3:]},
		{store.ListOptions{Prefix: "none"}, nil},
		{store.ListOptions{Prefix: "a/3/x"}, []string{"a/3/x"}},
		{store.ListOptions{After: "zzz"}, nil},
	} {
		if got := list(t, s, c.o); !slices.Equal(got, c.want) {
			t.Errorf("list %+v: %q, want %q", c.o, got, c.want)
		}
	}
	for info, err := range s.List(t.Context(), store.ListOptions{Prefix: "b"}) {
		if err != nil || info.Size != 1 || info.ETag == "" || info.ModTime.IsZero() {
			t.Errorf("listed %+v, %v", info, err)
		}
	}
	for range s.List(t.Context(), store.ListOptions{}) {
		break // leaving early is fine
	}
}

func testDelimiter(t *testing.T, _ Options, s store.Store) {
	for _, key := range []string{"2026-11-22/a", "2026-11-22/b", "2026-11-23/c", "team/2026-11-22/d", "top"} {
		MustPut(t, s, Object(key, key))
	}
	for _, c := range []struct {
		o    store.ListOptions
		want []string
	}{
		{store.ListOptions{Delimiter: "/"}, []string{"P:2026-11-22/", "P:2026-11-23/", "P:team/", "top"}},
		{store.ListOptions{Delimiter: "/", Prefix: "team/"}, []string{"P:team/2026-11-22/"}},
		{store.ListOptions{Delimiter: "/", Prefix: "2026-11-22/"}, []string{"2026-11-22/a", "2026-11-22/b"}},
		{store.ListOptions{Delimiter: "-", Prefix: "2026"}, []string{"P:2026-"}},
		{store.ListOptions{Delimiter: "/", After: "2026-11-23/"}, []string{"P:team/", "top"}},
	} {
		if got := list(t, s, c.o); !slices.Equal(got, c.want) {
			t.Errorf("list %+v: %q, want %q", c.o, got, c.want)
		}
	}
}

func testCancelled(t *testing.T, _ Options, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, Object("cancelled", "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
}
