package proof

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"indelible/internal/record"
	"indelible/internal/store"
)

func TestLeaves(t *testing.T) {
	b := filled(t)
	for _, seq := range []record.Seq{1, 255, 256, 300, 600, 601} {
		next := seq
		for l, err := range Leaves(t.Context(), b.st, testBase, b.key.Public(), seq, false) {
			if err != nil {
				t.Fatal(err)
			}
			if last, _ := l.last(); next < l.first() || next > last {
				t.Fatalf("from %d: want record %d, got %+v", seq, next, l)
			} else {
				next = last + 1
			}
		}
		if next != 601 {
			t.Errorf("from %d: it ends before %d", seq, next)
		}
		next = min(seq, 600)
		for l, err := range Leaves(t.Context(), b.st, testBase, b.key.Public(), seq, true) {
			if err != nil {
				t.Fatal(err)
			}
			if last, _ := l.last(); next < l.first() || next > last {
				t.Fatalf("back from %d: want record %d, got %+v", seq, next, l)
			}
			next = l.first() - 1
		}
		if next != 0 {
			t.Errorf("back from %d: it ends behind %d", seq, next)
		}
	}
}

// forging changes the leaf of a record in what is read from a store.
type forging struct {
	store.Store
	from, to string
}

func (f forging) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	r, info, err := f.Store.Get(ctx, key, o)
	if err != nil || !strings.Contains(key, "/tile/entries/") {
		return r, info, err
	}
	all, err := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(bytes.ReplaceAll(all, []byte(f.from), []byte(f.to)))), info, err
}

func TestLeavesBelieveNoOtherLeaf(t *testing.T) {
	b := filled(t)
	for from, to := range map[string]string{`"seq":100,`: `"seq":900,`, `"seq":599,`: `"seq":598,`} { // in a full bundle, and in the last one
		var err error
		for _, err = range Leaves(t.Context(), forging{b.st, from, to}, testBase, b.key.Public(), 1, false) {
		}
		if err == nil || !strings.Contains(err.Error(), "run verify") {
			t.Errorf("%s forged: %v", from, err)
		}
	}
	stranger, _ := GenerateKey("test-log")
	for _, err := range Leaves(t.Context(), b.st, testBase, stranger.Public(), 1, false) {
		if err == nil {
			t.Fatal("a stranger's log is read")
		}
	}
}
