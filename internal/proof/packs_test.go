package proof

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

// linePacks reads packs of a form that these tests write: a row on each line. Which form a
// pack has, the log does not care.
type linePacks struct{}

type lineRow struct {
	Info   record.Info
	Object string
	Body   []byte
}

func (linePacks) Rows(_ context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[PackRow, error] {
	return func(yield func(PackRow, error) bool) {
		lines := bufio.NewReader(io.NewSectionReader(file, 0, size))
		for {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF && len(line) == 0 {
				return
			}
			var row lineRow
			if err = errors.Join(err, json.Unmarshal(line, &row)); err != nil {
				yield(PackRow{}, err)
				return
			}
			out := PackRow{Row: record.Row{Info: row.Info, Object: row.Object}}
			if bodies && row.Object == "" {
				out.Body = bytes.NewReader(row.Body)
			}
			if !yield(out, nil) {
				return
			}
		}
	}
}

// packOf stores a pack of these records; the body of large lies beside it.
func (b *bench) packOf(first, last, large record.Seq) record.Pack {
	b.t.Helper()
	var file bytes.Buffer
	var tree RowTree
	p := record.Pack{First: first, Last: last, Key: fmt.Sprintf("%spacks/test-log-%d-%d", testBase, first, last)}
	for seq := first; seq <= last; seq++ {
		row := lineRow{Info: b.outcomeOf(seq, record.Stored).Info, Body: body(seq)}
		row.Info.Attrs = record.Attrs{{Name: "content-type", Value: "application/json"}, {Name: "x-amz-meta-user", Value: "alice"}}
		if seq == large {
			row.Object, row.Body = b.besideKey(seq), nil
			b.st.put(row.Object, body(seq))
		}
		if seq == first {
			p.Time = row.Info.Time
		}
		b.do(json.NewEncoder(&file).Encode(row))
		tree.Add(&row.Info)
	}
	p.Size, p.Digest, p.Root = int64(file.Len()), sha256.Sum256(file.Bytes()), tree.Root()
	p.Version = b.st.put(p.Key, file.Bytes()).Version
	return p
}

func (b *bench) besideKey(seq record.Seq) string {
	return fmt.Sprintf("%spacks/test-log-%d.body", testBase, seq)
}

// packed is a log of records 1 to 3, of the packs 4 to 103 and 104, and record 105.
func packed(b *bench) {
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 3)
	b.do(l.Pack(b.t.Context(), b.packOf(4, 103, 50)))
	b.do(l.Pack(b.t.Context(), b.packOf(104, 104, 0)))
	b.add(l, 105, 105)
	b.do(l.Stop(b.t.Context()))
}

const packKey = testBase + "packs/test-log-4-103"

// repack changes the rows of the first pack, and tells the log so, as only the holder of the key can. root
// says whether the root of the leaf is that of the new rows.
func (b *bench) repack(root bool, edit func(rows []string) []string) {
	lines := edit(slices.Collect(strings.Lines(string(b.st.data(packKey)))))
	data := []byte(strings.Join(lines, ""))
	b.st.put(packKey, data)
	b.resign(func(leaves []Leaf) []Leaf {
		for i := range leaves {
			if leaves[i].Kind == Pack && leaves[i].First == 4 {
				leaves[i].Size, leaves[i].Digest = int64(len(data)), sha256.Sum256(data)
				if root {
					var tree RowTree
					for row, err := range (linePacks{}).Rows(b.t.Context(), bytes.NewReader(data), int64(len(data)), false) {
						b.do(err)
						tree.Add(&row.Info)
					}
					leaves[i].Root = tree.Root().String()
				}
			}
		}
		return leaves
	})
	for _, k := range b.history() {
		b.st.remove(k)
	}
}

// A body beside a pack whose rows were not read is not called extra; what nobody can have named is.
func TestBesideUnreadPacks(t *testing.T) {
	b := newBench(t)
	packed(b)
	beside := testBase + "packs/dt=2026-11-24/hour=8/"
	for _, name := range []string{"test-log-00000000000000000050.body", "test-log-00000000000000000077.body"} {
		b.st.put(beside+name, body(1))
	}
	b.st.remove(b.besideKey(50))
	extra := []string{beside + "other-log-00000000000000000050.body", beside + "test-log-00000000000000000105.body", beside + "test-log-50.body", testBase + "test-log-00000000000000000050.body"}
	for _, key := range extra {
		b.st.put(key, body(1))
	}
	for name, o := range map[string]VerifyOptions{"no rows": {Packs: linePacks{}, NoRows: true}, "no reader": {}, "since": {Packs: linePacks{}, Since: time.Now().Add(time.Hour)}} {
		if r := b.verify(o); r.Extras != int64(len(extra)) || !slices.Equal(r.ExtraKeys, extra) {
			t.Errorf("%s: %d extra: %q", name, r.Extras, r.ExtraKeys)
		}
	}
}

func packTamperings() []tampering {
	return []tampering{
		{name: "pack deleted", make: packed, tamper: func(b *bench) { b.st.remove(packKey) }, seq: 4, want: "missing", object: "packs/test-log-4-103"},
		{name: "pack truncated", make: packed, tamper: func(b *bench) { b.st.put(packKey, b.st.data(packKey)[:700]) }, seq: 4, want: "truncated"},
		{name: "pack appended to", make: packed, tamper: func(b *bench) { b.st.put(packKey, append(bytes.Clone(b.st.data(packKey)), '\n')) }, seq: 4, want: "more than"},
		{name: "packs swapped", make: packed, tamper: func(b *bench) {
			one := b.st.data(packKey)
			b.st.put(packKey, b.st.data(testBase+"packs/test-log-104-104"))
			b.st.put(testBase+"packs/test-log-104-104", one)
		}, seq: 104, want: "more than"},
		{name: "body of one row changed", make: packed, tamper: func(b *bench) {
			data := bytes.Replace(b.st.data(packKey), []byte(`"Body":"`+base64Of(body(77))), []byte(`"Body":"`+base64Of(body(78))), 1)
			b.st.put(packKey, data)
		}, seq: 77, want: "the body in the pack is not the record's"},
		{name: "body beside a pack changed", make: packed, tamper: func(b *bench) { b.flip(b.besideKey(50), 3) }, seq: 50, want: "changed", object: "test-log-50.body", onlyHere: true},
		{name: "body beside a pack deleted", make: packed, tamper: func(b *bench) { b.st.remove(b.besideKey(50)) }, seq: 50, want: "missing", onlyHere: true},
		{name: "row that is no row", make: packed, tamper: func(b *bench) {
			b.st.put(packKey, bytes.Replace(b.st.data(packKey), []byte(`{"Info":{"Seq":60,`), []byte(`{"Info"X{"Seq":60,`), 1))
		}, seq: 60, want: "the rows from record 60 on cannot be read"},
		{name: "row left out by the holder of the key", make: packed, tamper: func(b *bench) {
			b.repack(true, func(rows []string) []string { return slices.Delete(rows, 10, 11) })
		}, seq: 14, want: "is record 15, not 14", onlyHere: true},
		{name: "last rows left out by the holder of the key", make: packed, tamper: func(b *bench) {
			b.repack(true, func(rows []string) []string { return rows[:90] })
		}, seq: 94, want: "records 94 to 103 are not among the rows", onlyHere: true},
		{name: "row changed by the holder of the key, under the root that was signed", make: packed, tamper: func(b *bench) {
			b.repack(false, func(rows []string) []string {
				rows[10] = strings.Replace(rows[10], `"Source":"tester"`, `"Source":"someone"`, 1)
				return rows
			})
		}, seq: 4, want: "are not those that were logged", onlyHere: true},
		{name: "headers of a row changed by the holder of the key, under the root that was signed", make: packed, tamper: func(b *bench) {
			b.repack(false, func(rows []string) []string {
				rows[10] = strings.Replace(rows[10], `"alice"`, `"mallory"`, 1)
				return rows
			})
		}, seq: 4, want: "are not those that were logged", onlyHere: true},
	}
}

func TestPacks(t *testing.T) {
	b := newBench(t)
	packed(b)
	r := b.verify(VerifyOptions{Packs: linePacks{}})
	if !r.Complete() || r.Records != 105 || r.Packs != 2 || r.CheckedRows != 101 || r.Extras != 0 {
		t.Errorf("complete %v: %v %v; records %d, packs %d, rows %d, extras %v", r.Complete(), r.Incomplete, r.Faults, r.Records, r.Packs, r.CheckedRows, r.ExtraKeys)
	}
	for _, o := range []VerifyOptions{{}, {Packs: linePacks{}, NoRows: true}} {
		if r := b.verify(o); !r.OK() || r.Complete() || r.CheckedRows != 0 || !strings.Contains(strings.Join(r.Incomplete, ""), "rows of 2 packs") {
			t.Errorf("rows not read: ok %v, %v", r.OK(), r.Incomplete)
		}
	}
	// One flipped byte anywhere in a pack is found.
	pristine := b.st
	step := 97 // a prime: all parts of a row have their turn
	if torture.Race {
		step = 293
	}
	for at := 0; at < len(b.st.data(packKey)); at += step {
		b.st = pristine.clone()
		b.flip(packKey, at)
		if r := b.verify(VerifyOptions{Packs: linePacks{}, NoExtras: true}); r.OK() {
			t.Fatalf("byte %d of a pack was changed, and nobody noticed", at)
		}
	}
}

// A copy of the part below the prefix is as good as the bucket.
func TestPacksInACopy(t *testing.T) {
	b := newBench(t)
	packed(b)
	c := newMemStore()
	for _, k := range b.st.keys() {
		c.put(strings.TrimPrefix(k, testBase), b.st.data(k))
	}
	r, err := Verify(t.Context(), c, "", b.key.Public(), VerifyOptions{Packs: linePacks{}})
	b.do(err)
	if !r.OK() || r.CheckedRows != 101 || r.Extras != 0 {
		t.Errorf("%d rows, extras %v, faults %v", r.CheckedRows, r.ExtraKeys, r.Faults)
	}
}

// A pack that comes again is added no second time, before its checkpoint and behind it; another is a fork.
func TestPackAgain(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	p := b.packOf(1, 20, 0)
	for range 2 {
		b.do(l.Pack(t.Context(), p))
		b.do(l.Pack(t.Context(), p))
		b.do(l.Checkpoint(t.Context()))
		l = b.open()
	}
	if n := len(b.leaves()); n != 2 || l.Next() != 21 {
		t.Errorf("%d leaves, next %d", n, l.Next())
	}
	if got, ok, err := l.PackOf(t.Context(), 7); err != nil || !ok || got != p {
		t.Errorf("PackOf: %v, %v, %v", got, ok, err)
	}
	if err := l.Pack(t.Context(), b.packOf(22, 30, 0)); !errors.Is(err, ErrOrder) {
		t.Errorf("a pack behind a hole: %v", err)
	}
	other := p
	other.Digest[0] ^= 1
	if err := l.Pack(t.Context(), other); !errors.Is(err, ErrForked) {
		t.Errorf("another pack under the same numbers: %v", err)
	}
	l = b.open()
	if err := l.Pack(t.Context(), b.packOf(5, 25, 0)); !errors.Is(err, ErrForked) {
		t.Errorf("a pack that overlaps another: %v", err)
	}
}

// A record of a pack that comes again by itself, as from a directory that packs no more, gets no leaf if its bytes are
// those of its row, and is a fork if they are others. A pack that is gone says nothing; a store that does not answer is asked again.
func TestPackedRecordAgain(t *testing.T) {
	b := newBench(t)
	b.opt.Packs = linePacks{}
	packed(b)
	l, leaves := b.open(), len(b.leaves())
	for _, seq := range []record.Seq{50, 77, 104} {
		b.do(l.Add(t.Context(), b.outcomeOf(seq, record.Stored)))
	}
	other := b.outcomeOf(78, record.Deferred)
	other.Digest = record.Digest{}
	b.do(l.Add(t.Context(), other)) // it cannot be read now
	b.do(l.Checkpoint(t.Context()))
	if n := len(b.leaves()); n != leaves {
		t.Errorf("%d leaves, not %d", n, leaves)
	}
	other.Digest[0] = 1
	if err := l.Add(t.Context(), other); !errors.Is(err, ErrForked) {
		t.Errorf("other bytes: %v", err)
	}

	st := &silentStore{Store: b.st, key: packKey, silent: true}
	l, err := Open(t.Context(), st, b.key, Options{Disk: b.d, Base: testBase, Packs: linePacks{}})
	b.do(err)
	if err := l.Add(t.Context(), other); err == nil || errors.Is(err, ErrForked) {
		t.Errorf("a store that does not answer: %v", err)
	}
	st.silent = false
	b.st.remove(packKey)
	b.do(l.Add(t.Context(), other))
}

// silentStore does not answer for one object.
type silentStore struct {
	store.Store
	key    string
	silent bool
}

func (s *silentStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if s.silent && key == s.key {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.Unreachable, Err: errors.New("no answer")}
	}
	return s.Store.Get(ctx, key, o)
}

func TestProveRow(t *testing.T) {
	b := newBench(t)
	packed(b)
	for _, seq := range []record.Seq{4, 50, 77, 103, 104} {
		p, err := Prove(t.Context(), b.st, testBase, b.key.Public(), linePacks{}, seq)
		b.do(err)
		file := p.Encode()
		q, err := ParseProof(file)
		b.do(err)
		leaf, _, err := q.Check(b.key.Public(), bytes.NewReader(body(seq)))
		if err != nil || leaf.Kind != Row || leaf.Seq != seq || leaf.Bucket != "logs" {
			t.Errorf("record %d: %v, %v", seq, leaf, err)
		}
		if err := q.Of(leaf.SentKey, leaf.Digest.String()); err != nil {
			t.Error(err)
		}
		if _, _, err := q.Check(b.key.Public(), bytes.NewReader(body(seq+1))); err == nil {
			t.Error("other bytes were accepted")
		}
		if seq == 104 {
			continue // it is alone in its pack
		}
		q.Row.Path[0][0] ^= 1
		if _, _, err := q.Check(b.key.Public(), nil); err == nil {
			t.Error("another path was accepted")
		}
		q.Row.Path[0][0] ^= 1
		q.Row.Raw = bytes.Replace(q.Row.Raw, []byte("tester"), []byte("taster"), 1)
		if _, _, err := q.Check(b.key.Public(), nil); err == nil {
			t.Error("another row was accepted")
		}
	}
	b.flip(packKey, 100)
	if _, err := Prove(t.Context(), b.st, testBase, b.key.Public(), linePacks{}, 77); err == nil || !strings.Contains(err.Error(), "run verify") {
		t.Errorf("a row of a pack that was changed: %v", err)
	}
}

func TestReconcilePacks(t *testing.T) {
	b := newBench(t)
	packed(b)
	var ids []string
	for seq := 1; seq <= 105; seq++ {
		ids = append(ids, fmt.Sprintf("id%d", seq))
	}
	r, err := Reconcile(t.Context(), b.st, testBase, b.key.Public(), ReadIDs(strings.NewReader(strings.Join(append(ids, "id106"), "\n")), IDFormat{Form: "ids"}), ReconcileOptions{Packs: linePacks{}})
	b.do(err)
	if r.Records != 105 || r.Lost != 1 || r.Missing[0].ID != "id106" || r.Others != 0 || r.Unread != 0 {
		t.Errorf("%+v", r)
	}
}

func base64Of(b []byte) string { return strings.TrimRight(base64.StdEncoding.EncodeToString(b), "=") }
