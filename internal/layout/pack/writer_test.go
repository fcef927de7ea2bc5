package pack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"indelible/internal/record"
	"indelible/internal/torture"
)

// raw is a row with any body.
func raw(seq int, body []byte) *Row {
	return &Row{Info: record.Info{Seq: record.Seq(seq), Time: time.Unix(1764000000, 0).UTC(), Door: "s3", Key: "k", Size: int64(len(body)), Digest: sha256.Sum256(body)}, Key: "k", Body: body}
}

// What a Writer refuses without harm, and what ends it.
func TestRefused(t *testing.T) {
	w, err := NewWriter(&counter{}, Options{Log: "l"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(raw(1, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(raw(2, make([]byte, MaxBody+1))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	w.groups = maxGroups
	if err := w.Add(raw(2, nil)); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	w.groups = 0
	if err := w.Add(raw(2, []byte("x"))); err != nil {
		t.Errorf("the Writer was harmed: %v", err)
	}
	if sum, err := w.Close(); err != nil || sum != (Summary{1, 2, 2}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if err := w.Add(raw(3, nil)); err == nil {
		t.Error("a row was added to a closed pack")
	}
	for name, bad := range map[string]*Row{
		"again":     raw(1, nil),
		"size":      {Info: record.Info{Seq: 2, Time: time.Unix(1, 0), Size: 5}, Body: []byte("x")},
		"both":      {Info: record.Info{Seq: 2, Time: time.Unix(1, 0), Size: 1}, Body: []byte("x"), Object: "o"},
		"time":      {Info: record.Info{Seq: 2}},
		"no number": raw(0, nil),
	} {
		w, err := NewWriter(&counter{}, Options{Log: "l"})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Add(raw(1, nil)); err != nil {
			t.Fatal(err)
		}
		first := w.Add(bad)
		if first == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := w.Close(); err == nil || err.Error() != first.Error() {
			t.Errorf("%s: closed with %v after %v", name, err, first)
		}
	}
	if w, err = NewWriter(&counter{}, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err == nil {
		t.Error("a pack without a row was closed")
	}
	if _, err := NewWriter(&counter{}, Options{Level: 23}); err == nil {
		t.Error("level 23")
	}
}

// full is a disk with little room.
type full struct{ left int }

var errNoSpace = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errNoSpace
	}
	return len(p), nil
}

func TestDiskFull(t *testing.T) {
	w, err := NewWriter(&full{5 << 20}, Options{Log: "l"})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	body := make([]byte, 1<<20)
	for seq := 1; err == nil && seq < 100; seq++ {
		for i := range body {
			body[i] = byte(r.Uint32())
		}
		err = w.Add(raw(seq, body))
	}
	if !errors.Is(err, errNoSpace) {
		t.Errorf("add: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, errNoSpace) {
		t.Errorf("close: %v", err)
	}
}

// Memory is bounded by a row group and a body, not by the pack: 80 MiB of bodies that do not
// compress are written and read within 64 MiB of live memory, and so is the longest body that there may be.
func TestMemory(t *testing.T) {
	if torture.Race {
		t.Skip("one goroutine allocates here: the step norace of test/steps runs it")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "pack"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := NewWriter(f, Options{Log: "l"})
	if err != nil {
		t.Fatal(err)
	}
	noise := rand.NewChaCha8([32]byte{1})
	body := make([]byte, 256<<10)
	most := uint64(0)
	for seq := 1; seq <= 320; seq++ {
		if _, err := noise.Read(body); err != nil {
			t.Fatal(err)
		}
		if err := w.Add(raw(seq, body)); err != nil {
			t.Fatal(err)
		}
		if seq%80 == 77 {
			most = max(most, live())
		}
	}
	long := []byte(strings.Repeat("long ", MaxBody/5))
	if err := w.Add(raw(321, long)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if most > 64<<20 {
		t.Errorf("%d bytes live while writing", most)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	n, read := 0, uint64(0)
	for row, err := range p.Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(row.Body) != row.Info.Digest {
			t.Fatalf("row %d has another digest", row.Info.Seq)
		}
		if n++; n%80 == 77 {
			read = max(read, live())
		}
	}
	if n != 321 {
		t.Errorf("%d rows", n)
	}
	if read > 96<<20 { // the long body above included
		t.Errorf("%d bytes live while reading", read)
	}
	t.Logf("live: %d MiB writing, %d MiB reading", most>>20, read>>20)
}

// live is what the garbage collector cannot free, pools left out: those of other tests
// outlive one collection.
func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// The default level stores LiteLLM-like records of 4 KiB in a quarter of their bytes, everything else in the file included.
func TestStored(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var rows []*Row
	raw := 0
	for n := range 4000 {
		rows = append(rows, litellm(r, n+1, 4<<10))
		raw += len(rows[n].Body)
	}
	if stored := len(write(t, rows)); 4*stored > raw {
		t.Errorf("%d bytes for bodies of %d: %.4f", stored, raw, float64(stored)/float64(raw))
	}
}

// Packs of before 1 December 2026 have other encodings, and smaller pages.
func TestEarlierPacks(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rows := odd()
	for n := range 300 {
		rows = append(rows, litellm(r, n+200, 4<<10))
	}
	var b bytes.Buffer
	pages, err := newCodec(DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	options := append(format1("gw1-0a1b2c3d", pages), parquet.PageBufferSize(64<<10), parquet.DefaultEncodingFor(parquet.ByteArray, &parquet.Plain), parquet.DefaultEncodingFor(parquet.Int64, &parquet.Plain))
	w := &Writer{log: "gw1-0a1b2c3d", pw: parquet.NewGenericWriter[columns](&b, options...)}
	for _, row := range rows {
		if err := w.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	i := 0
	for got, err := range open2(t, b.Bytes()).Rows(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		equal(t, got, rows[i])
		i++
	}
	if i != len(rows) {
		t.Errorf("%d rows of %d", i, len(rows))
	}
}
