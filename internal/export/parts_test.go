package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"indelible/internal/layout/pack"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// cutStore ends the process at a put: before it, or after it was done.
type cutStore struct {
	store.Store
	puts, at int
	done     bool
}

var errCut = errors.New("killed")

func (c *cutStore) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if c.puts++; c.puts != c.at {
		return c.Store.Put(ctx, o)
	}
	if c.done {
		if _, err := c.Store.Put(ctx, o); err != nil {
			return store.Info{}, err
		}
	}
	return store.Info{}, &store.Error{Op: "put", Class: store.Configuration, Err: errCut}
}

func item(seq record.Seq) *Item {
	body := fmt.Appendf(nil, `{"id":"id-%d","messages":%q}`, seq, strings.Repeat("word ", int(seq%50)))
	if seq == 17 {
		body = bytes.Repeat([]byte("x"), maxInline+1)
	}
	row := pack.Row{
		Info: record.Info{Seq: seq, Time: time.Date(2026, 11, 29, 7, int(seq), 0, 0, time.UTC), Door: "s3", Bucket: "logs", Key: fmt.Sprintf("k/%d", seq), Size: int64(len(body)), Digest: sha256.Sum256(body)},
		Key:  fmt.Sprintf("k/%d", seq), Body: body,
	}
	return &Item{Row: row, Text: append(bytes.Clone(body), '\n')}
}

// A call that is cut before or after any put is followed by one that goes on, with records that came meanwhile: each
// record is in the store once, whatever the form.
func TestCutAnywhere(t *testing.T) {
	for _, form := range []Form{Text{}, Parquet{Log: "test"}} {
		for _, done := range []bool{false, true} {
			for at := 1; at <= 5; at++ {
				t.Run(fmt.Sprintf("%T done=%v put=%d", form, done, at), func(t *testing.T) {
					root := t.TempDir()
					d, err := dir.OpenPath(root)
					if err != nil {
						t.Fatal(err)
					}
					defer d.Close()
					st := &cutStore{Store: d, at: at, done: done}
					var kept State
					run := func(upto record.Seq) error {
						p := &Parts{Store: st, Log: "test", Form: form, At: kept, Keep: func(s State) error { kept = s; return nil }, Dir: t.TempDir(), MaxRecords: 20, MaxBytes: 1 << 40}
						defer p.Abandon()
						if err := p.Resume(t.Context()); err != nil {
							return err
						}
						for seq := p.At.Seq + 1; seq <= upto; seq++ {
							if err := p.Add(t.Context(), item(seq)); err != nil {
								return err
							}
						}
						return p.Close(t.Context(), upto)
					}
					if err := run(90); !errors.Is(err, errCut) {
						t.Fatalf("the first call: %v", err)
					}
					if err := run(110); err != nil {
						t.Fatal(err)
					}
					check(t, d, form, 110)
					if kept.Seq != 110 || kept.Part != nil {
						t.Errorf("kept %+v", kept)
					}
				})
			}
		}
	}
}

// check reads every part, and says whether each record is there once.
func check(t *testing.T, st store.Store, form Form, n int) {
	t.Helper()
	seen, texts := map[record.Seq]int{}, map[record.Digest]record.Seq{}
	for seq := record.Seq(1); seq <= record.Seq(n); seq++ {
		texts[sha256.Sum256(item(seq).Text)] = seq
	}
	parts := 0
	for info, err := range st.List(t.Context(), store.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(info.Key, ".body") {
			continue
		}
		parts++
		body, _, err := st.Get(t.Context(), info.Key, store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if _, text := form.(Text); text {
			for line := range bytes.Lines(b) {
				seen[texts[sha256.Sum256(line)]]++
			}
			continue
		}
		r, err := pack.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(info.Key, err)
		}
		for row, err := range r.Rows(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			seen[row.Info.Seq]++
			if want := item(row.Info.Seq); row.Info.Digest != want.Info.Digest || row.Object == "" && !bytes.Equal(row.Body, want.Body) || (row.Object != "") != (row.Info.Seq == 17) {
				t.Errorf("record %d is another one", row.Info.Seq)
			}
			if !strings.Contains(info.Key, "dt=2026-11-29/hour="+fmt.Sprint(row.Info.Time.Hour())+"/") {
				t.Errorf("record %d of %v is in %s", row.Info.Seq, row.Info.Time, info.Key)
			}
		}
	}
	for seq := record.Seq(1); seq <= record.Seq(n); seq++ {
		if seen[seq] != 1 {
			t.Errorf("record %d is there %d times", seq, seen[seq])
		}
	}
	if parts < 5 || parts > 10 {
		t.Errorf("%d parts", parts)
	}
}

// A part that is there with other bytes is told, and not overwritten.
func TestPartOfAnother(t *testing.T) {
	d, err := dir.OpenPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for n, text := range []string{"one", "two"} {
		p := &Parts{Store: d, Log: "test", Form: Text{}, Dir: t.TempDir()}
		it := item(1)
		it.Text = []byte(text)
		err := errors.Join(p.Add(t.Context(), it), p.Close(t.Context(), 1))
		if (err != nil) != (n == 1) || err != nil && !strings.Contains(err.Error(), "give another location") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// smallForm is text of which a part holds a few records.
type smallForm struct{ Text }

type smallPart struct {
	Part
	n int
}

func (f smallForm) Begin(w io.Writer) (Part, error) {
	p, err := f.Text.Begin(w)
	return &smallPart{Part: p}, err
}

func (p *smallPart) Add(item *Item) error {
	if p.n == 7 {
		return fmt.Errorf("add record %d: %w", item.Info.Seq, pack.ErrFull)
	}
	p.n++
	return p.Part.Add(item)
}

// Records that compress well fill a part before it is long: the next part has the rest.
func TestPartIsFull(t *testing.T) {
	d, err := dir.OpenPath(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p := &Parts{Store: d, Log: "test", Form: smallForm{}, Dir: t.TempDir()}
	defer p.Abandon()
	for seq := record.Seq(1); seq <= 30; seq++ {
		if err := p.Add(t.Context(), item(seq)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	check(t, d, Text{}, 30)
}
