package pack

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"indelible/internal/record"
	"indelible/internal/torture"
)

// readAll does everything that a Reader can, and returns the first error.
func readAll(ctx context.Context, b []byte) error {
	r, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return err
	}
	var errs []error
	for row, err := range r.Rows(ctx) {
		if err == nil && row.Object == "" && len(row.Body) > 0 && int64(len(row.Body)) != row.Info.Size {
			err = errors.New("a body of another length came without an error")
		}
		errs = append(errs, err)
	}
	for _, err := range r.Heads(ctx) {
		errs = append(errs, err)
	}
	for _, name := range bloomColumns {
		for _, err := range r.Find(ctx, name, "k1") {
			errs = append(errs, err)
		}
	}
	_, err = r.Seq(r.Summary().Last)
	return errors.Join(append(errs, err, readBlocks(r))...)
}

// readBlocks does everything that can be done with a Reader's blocks.
func readBlocks(r *Reader) error {
	for i := range r.Blocks() {
		r.Times(i)
		b, err := r.Block(i)
		if err != nil {
			return err
		}
		p, err := planOf()
		if err != nil {
			return err
		}
		b.Only([]string{"team", "tags", "sent_key"})
		for j := b.Len() - 1; j >= 0; j-- {
			for _, l := range p.leaves[:len(p.leaves)-1] {
				col, err := b.Column(l.name)
				if err != nil {
					return err
				}
				col.Text(j)
				col.Int(j)
				col.Float(j)
				col.List(j)
			}
			if _, err := b.Part(j); err != nil {
				return err
			}
			if _, err := b.Row(j); err != nil {
				return err
			}
			if _, err := b.Body(j); err != nil {
				return err
			}
		}
	}
	return nil
}

// Blocks give what Rows gives: each row, its parts and its columns, in any order.
func TestBlocks(t *testing.T) {
	rows := odd()
	r := open2(t, write(t, rows))
	at := 0
	for i := range r.Blocks() {
		b, err := r.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		first, last := r.Span(i)
		least, most, ok := r.Times(i)
		b.Only([]string{"team", "cost", "door", "key", "sent_key"})
		team, err := b.Column("team")
		if err != nil || first != b.Seq(0) || last != b.Seq(b.Len()-1) {
			t.Fatal(err, first, last)
		}
		for j := b.Len() - 1; j >= 0; j-- {
			want := rows[at+j]
			got, err := b.Row(j)
			if err == nil {
				got.Body, err = b.Body(j)
			}
			if err != nil {
				t.Fatal(err)
			}
			equal(t, got, want)
			if !ok || got.Info.Time.Before(least) || got.Info.Time.After(most.Add(time.Microsecond)) {
				t.Errorf("row %d arrived at %v, and the block from %v to %v", j, got.Info.Time, least, most)
			}
			text, has := team.Text(j)
			part, err := b.Part(j)
			if err != nil || has != (got.Fields.Team != nil) || has && (string(text) != *got.Fields.Team || *part.Fields.Team != *got.Fields.Team) {
				t.Errorf("row %d: team %q, %v, %v", j, text, part.Fields.Team, err)
			}
			if part.Info.Seq != got.Info.Seq || part.Info.Time != got.Info.Time || part.Info.Size != got.Info.Size || part.Info.Bucket != "" || part.Fields.Model != nil || part.Info.Digest != (record.Digest{}) {
				t.Errorf("part of row %d: %+v", j, part)
			}
		}
		at += b.Len()
	}
	if at != len(rows) {
		t.Errorf("%d rows of %d", at, len(rows))
	}
	if b, err := r.Block(0); err != nil {
		t.Error(err)
	} else if _, err := b.Column("body"); err == nil {
		t.Error("the bodies are a column")
	}
}

// What Proven does not decode it compares with its checksum: a page that is not the one that was written is named, whichever column has it.
func TestProvenDamage(t *testing.T) {
	b := write(t, odd()[:9])
	end := func(rows iter.Seq2[Row, error]) (err error) {
		for _, err = range rows {
		}
		return err
	}
	pages, undecoded, step := 0, 0, 29
	if torture.Race {
		step = 149
	}
	for i := 4 + int(time.Now().UnixNano())%step; i < len(b); i += step {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x41
		r, err := Open(bytes.NewReader(damaged), int64(len(b)))
		if err != nil {
			continue
		}
		want, got := end(r.Brief(t.Context(), true)), end(r.Proven(t.Context(), true))
		if got == nil && want != nil {
			undecoded++
		}
		if want == nil || !strings.Contains(want.Error(), "CRC-32") {
			continue
		}
		if pages++; got == nil || got.Error() != want.Error() {
			t.Fatalf("byte %d: %v, and Proven says: %v", i, want, got)
		}
	}
	t.Logf("%d bytes of pages; %d others that Brief names and Proven does not, which the digest of the file is for", pages, undecoded)
	if pages == 0 {
		t.Error("no page was damaged")
	}
}

// Every flipped byte is an error with a name, or changes nothing that is read: never a panic, never other rows.
func TestDamage(t *testing.T) {
	rows := odd()[:9]
	b := write(t, rows)
	unseen := 0
	step := 29
	if torture.Race {
		step = 149
	}
	if os.Getenv("INDELIBLE_EVERY_BYTE") != "" {
		step = 1
	}
	for i := int(time.Now().UnixNano()) % step; i < len(b); i += step {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x41
		err := readAll(t.Context(), damaged)
		if err == nil {
			unseen++
			j := 0
			for got, err := range open2(t, damaged).Rows(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				equal(t, got, rows[j])
				j++
			}
			continue
		}
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if strings.Contains(err.Error(), "panicked") {
			t.Errorf("byte %d: %v", i, err)
		}
	}
	t.Logf("%d of %d bytes are not read: statistics, filters and their like", unseen, len(b))
}

func TestCutShort(t *testing.T) {
	b := write(t, odd()[:9])
	for n := 0; n < len(b); n += 7 * torture.RaceStep(5) {
		if err := readAll(t.Context(), b[:n]); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Fatalf("%d bytes of %d: %v", n, len(b), err)
		}
	}
}

// What others wrote is refused by its name, also where it is sound.
func TestForeign(t *testing.T) {
	var other, anew bytes.Buffer
	if err := parquet.Write(&other, []struct{ A string }{{"x"}}); err != nil {
		t.Fatal(err)
	}
	if err := parquet.Write(&anew, []struct{ A string }{{"x"}}, parquet.KeyValueMetadata(metaVersion, Version)); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte(strings.Repeat("hello ", 100)), "other": other.Bytes(), "anew": anew.Bytes()} {
		_, err := Open(bytes.NewReader(b), int64(len(b)))
		if !errors.Is(err, ErrForeign) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing is a disk that gives no more after some reads.
type failing struct {
	io.ReaderAt
	left int
}

var errDisk = errors.New("input/output error")

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

// An error of the disk is that error, and says nothing about the pack.
func TestReadError(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var rows []*Row
	for n := range 100 {
		rows = append(rows, litellm(r, n+1, 9000))
	}
	b := write(t, rows)
	for left := range 4 {
		f := &failing{bytes.NewReader(b), left}
		p, err := Open(f, int64(len(b)))
		if err == nil {
			for _, e := range p.Rows(t.Context()) {
				err = errors.Join(err, e)
			}
		}
		if left == 3 {
			left = 100
		}
		if !errors.Is(err, errDisk) || errors.Is(err, ErrDamaged) || errors.Is(err, ErrForeign) {
			t.Errorf("after %d reads: %v", left, err)
		}
	}
	// The file is shorter than it was said to be.
	if _, err := Open(bytes.NewReader(b), int64(len(b))+100); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrDamaged) {
		t.Errorf("short file: %v", err)
	}
	// A context that ends.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := readAll(ctx, b); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
		t.Errorf("cancelled: %v", err)
	}
}

// seal gives bytes a footer's end, so that a fuzzer need not find it.
func seal(b []byte, footer int) []byte {
	b = binary.LittleEndian.AppendUint32(bytes.Clone(b), uint32(footer))
	return append(b, magic...)
}

// FuzzOpen reads hostile files: no panic, and memory within bounds.
func FuzzOpen(f *testing.F) {
	small := write(f, odd()[:3])
	n := int(binary.LittleEndian.Uint32(small[len(small)-8:]))
	f.Add(small[:len(small)-8], n)
	f.Add([]byte("PAR1"), 4)
	f.Add([]byte("PAR1\x15\x02\x19\xff\xff\xff\xff\x0f\x0c"), 9) // a list of very many
	f.Fuzz(func(t *testing.T, b []byte, footer int) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := readAll(t.Context(), seal(b, footer))
		runtime.ReadMemStats(&after)
		if made := after.TotalAlloc - before.TotalAlloc; made > 1<<30 {
			t.Errorf("%d bytes made %d bytes of garbage", len(b), made)
		}
		if err != nil && strings.Contains(err.Error(), "panicked") {
			t.Error(err)
		}
	})
}

// FuzzPage decodes hostile pages, behind a sound footer.
func FuzzPage(f *testing.F) {
	p, err := planOf()
	if err != nil {
		f.Fatal(err)
	}
	b := write(f, odd()[:9])
	for i, c := range open2(f, b).footer.groups[0].chunks {
		f.Add(b[c.data:c.to], i)
	}
	z, err := newZstd()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, i int) {
		if i < 0 || i >= len(p.leaves) {
			return
		}
		d := &decoder{zstd: z, budget: maxInflate}
		one, err := d.page(&p.leaves[i], b, [][]byte{[]byte("a"), []byte("b")})
		if err == nil {
			(&column{leaf: &p.leaves[i]}).append(one)
		}
		_, _ = d.dictionary(b)
	})
}

// Values that the library encodes in every width are decoded as they were.
func TestDeltas(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for n := 1; n < 400; n += 13 {
		for width := range 64 {
			want := make([]int64, n)
			for i := range want {
				want[i] = int64(r.Uint64() >> width)
			}
			b, err := parquet.DeltaBinaryPacked.EncodeInt64(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := deltas(b, n)
			if err != nil {
				t.Fatal(n, width, err)
			}
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%d values of %d bits: %d is %d", n, 64-width, want[i], got[i])
				}
			}
		}
	}
}

// A row group of more rows than a Writer puts into one is refused before memory is made for them: a few bytes can say a million of them.
func TestTooManyRows(t *testing.T) {
	pages, err := newCodec(DefaultLevel)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	pw := parquet.NewGenericWriter[columns](&b, format1("l", pages)...)
	rows := make([]columns, groupRows+1)
	for i := range rows {
		rows[i].Seq = int64(i + 1)
	}
	if _, err := pw.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len())); !errors.Is(err, ErrDamaged) {
		t.Errorf("%d rows in a row group: %v", len(rows), err)
	}
}
