package spool_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/upload"
)

var (
	_ ingest.Appender = (*spool.Spool)(nil)
	_ upload.Source   = (*spool.Spool)(nil)
	_ query.Pending   = (*spool.Spool)(nil)
)

// openDir opens a spool in a directory of the operating system and closes it with the test.
func openDir(t testing.TB, dir string, opts spool.Options) *spool.Spool {
	t.Helper()
	fs, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := openOn(t, fs, opts)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), fs.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openOn(t testing.TB, fs disk.FS, opts spool.Options) *spool.Spool {
	t.Helper()
	if opts.Log == "" {
		opts.Log = "test"
	}
	s, err := spool.Open(fs, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rec is a record with that body.
func rec(bucket, key string, body []byte) record.Record {
	return record.Record{
		Door: "s3", Source: "tester", Bucket: bucket, Key: key, Body: bytes.NewReader(body), Size: int64(len(body)),
		Attrs: record.Attrs{{Name: "content-type", Value: "application/json"}},
	}
}

func mustAppend(t testing.TB, s *spool.Spool, r record.Record) record.Receipt {
	t.Helper()
	receipt, err := s.Append(t.Context(), r)
	if err != nil {
		t.Fatalf("append %q: %v", r.Key, err)
	}
	return receipt
}

// randomBody is n bytes that depend on seed alone.
func randomBody(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	b := make([]byte, n)
	rand.NewChaCha8(key).Read(b)
	return b
}

func bodyOf(t testing.TB, e record.Entry) []byte {
	t.Helper()
	r, err := e.Open()
	if err != nil {
		t.Fatalf("open body of %d: %v", e.Seq, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatalf("read body of %d: %v", e.Seq, err)
	}
	if sha256.Sum256(b) != e.Digest || int64(len(b)) != e.Size {
		t.Fatalf("body of %d is not what was acked", e.Seq)
	}
	return b
}

// all collects what Entries yields, and the gaps in it.
func all(t testing.TB, s *spool.Spool, from record.Seq) (entries []record.Entry, gaps []record.GapError) {
	t.Helper()
	for e, err := range s.Entries(context.Background(), from) {
		if gap, ok := errors.AsType[*record.GapError](err); ok {
			gaps = append(gaps, *gap)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries, gaps
}

func TestAppendAndRead(t *testing.T) {
	for name, size := range map[string]int{"empty": 0, "small": 100, "inline limit": 256 << 10, "file": 256<<10 + 1, "large": 3<<20 + 17} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openDir(t, dir, spool.Options{})
			body := randomBody(uint64(size), size)
			r := rec("logs", "a/b", body)
			r.Seal = func(sum record.Digest, n int64) (record.Attrs, error) {
				if sum != sha256.Sum256(body) || n != int64(size) {
					t.Error("Seal got another digest or size")
				}
				return record.Attrs{{Name: record.AttrMD5, Value: "x"}}, nil
			}
			receipt := mustAppend(t, s, r)
			if receipt.Log != "test" || receipt.Seq != 1 || receipt.Size != int64(size) || receipt.Resent {
				t.Fatalf("receipt %+v", receipt)
			}
			check := func(s *spool.Spool) {
				t.Helper()
				entries, gaps := all(t, s, 1)
				if len(entries) != 1 || len(gaps) != 0 {
					t.Fatalf("%d entries, gaps %v", len(entries), gaps)
				}
				if e := entries[0]; e.Key != "a/b" || e.Bucket != "logs" || e.Door != "s3" || e.Source != "tester" || e.Attrs.Get(record.AttrMD5) != "x" || !e.Time.Equal(receipt.Time) {
					t.Errorf("entry %+v", e.Info)
				}
				if !bytes.Equal(bodyOf(t, entries[0]), body) {
					t.Error("another body")
				}
				e, ok, err := s.Lookup(t.Context(), "logs", "a/b")
				if err != nil || !ok || e.Seq != 1 {
					t.Errorf("Lookup: %v, %v", ok, err)
				}
			}
			check(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			check(openDir(t, dir, spool.Options{}))
			check(openDir(t, dir, spool.Options{ReadOnly: true}))
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	s := openDir(t, t.TempDir(), spool.Options{})
	boom := errors.New("boom")
	long := rec("b", "k", []byte("12345"))
	long.Size = 4
	short := rec("b", "k", []byte("12345"))
	short.Size = 6
	broken := rec("b", "k", nil)
	broken.Body, broken.Size = io.MultiReader(strings.NewReader("x"), errReader{boom}), -1
	refused := rec("b", "k", []byte("12345"))
	refused.Seal = func(record.Digest, int64) (record.Attrs, error) { return nil, boom }
	for name, test := range map[string]struct {
		r    record.Record
		want error
	}{
		"longer":  {long, record.ErrSize},
		"shorter": {short, record.ErrSize},
		"broken":  {broken, boom},
		"refused": {refused, boom},
		"no key":  {rec("b", "", nil), record.ErrInvalid},
		"big key": {rec("b", strings.Repeat("k", record.MaxKey+1), nil), record.ErrInvalid},
	} {
		if _, err := s.Append(t.Context(), test.r); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if entries, _ := all(t, s, 1); len(entries) != 0 {
		t.Errorf("%d records were kept", len(entries))
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestConcurrentAppends(t *testing.T) {
	dir := t.TempDir()
	opts := spool.Options{SegmentBytes: 128 << 10}
	s := openDir(t, dir, opts)
	var mu sync.Mutex
	want := map[record.Seq]string{}
	var wg sync.WaitGroup
	for p := range 16 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprintf("%d/%d", p, i)
				receipt, err := s.Append(t.Context(), rec("b", key, randomBody(uint64(p*1000+i), 100*i)))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[receipt.Seq] = key
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	check := func(s *spool.Spool) {
		t.Helper()
		entries, gaps := all(t, s, 1)
		if len(entries) != len(want) || len(gaps) != 0 {
			t.Fatalf("%d entries of %d, gaps %v", len(entries), len(want), gaps)
		}
		for i, e := range entries {
			if e.Seq != record.Seq(i+1) || want[e.Seq] != e.Key {
				t.Fatalf("entry %d is %d %q, want %q", i, e.Seq, e.Key, want[e.Seq])
			}
			bodyOf(t, e)
		}
		for seq, key := range want {
			e, ok, err := s.Lookup(t.Context(), "b", key)
			if err != nil || !ok || e.Seq != seq {
				t.Fatalf("lookup %q: %d %v %v, want %d", key, e.Seq, ok, err, seq)
			}
		}
	}
	check(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openDir(t, dir, opts))
}

// textLogger logs to w.
func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
