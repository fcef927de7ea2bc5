package proof

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"

	"indelible/internal/record"
	"indelible/internal/store"
)

// changing is a store in which something happens when the first object of a record is read.
type changing struct {
	*memStore
	once   sync.Once
	change func()
}

func (s *changing) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if !strings.Contains(key, "_indelible/") {
		s.once.Do(s.change)
	}
	return s.memStore.Get(ctx, key, o)
}

// What is removed by policy while Verify reads is no loss, however the log has grown meanwhile. What goes missing
// without a leaf is one, whatever else was removed. The key may change meanwhile.
func TestVerifyWhileExpiring(t *testing.T) {
	for _, grow := range []int{0, 1, 300, 600} {
		for turn := range 4 {
			lost, rotated := turn%2 == 1, turn > 1
			b := newBench(t)
			l := b.open()
			b.do(l.Start("p", "c", testBase))
			b.add(l, 1, 400)
			b.do(l.Checkpoint(t.Context()))
			st := &changing{memStore: b.st, change: func() {
				for seq := 401; seq <= 400+grow; seq++ {
					b.add(l, record.Seq(seq), record.Seq(seq))
				}
				if rotated { // and what follows bears the new key's signature alone
					next, err := GenerateKey("test-log")
					b.do(err)
					b.do(l.Rotate(t.Context(), next))
					b.add(l, record.Seq(401+grow), record.Seq(401+grow))
				}
				b.do(l.Remove(t.Context(), "retention", SeqRange{100, 350}))
				for seq := 100; seq <= 350; seq++ {
					b.st.remove(b.outcomeKey(record.Seq(seq)))
				}
				if lost {
					b.st.remove(b.outcomeKey(360))
				}
			}}
			r, err := Verify(t.Context(), st, testBase, b.key.Public(), VerifyOptions{Parallel: 1})
			b.do(err)
			if r.OK() == lost || r.Missing > 1 || lost && r.Faults[0].Seq != 360 || r.Extras != 0 {
				t.Errorf("grown by %d, lost %v, key changed %v: %d missing, %d extra, faults %v", grow, lost, rotated, r.Missing, r.Extras, r.Faults[:min(3, len(r.Faults))])
			}
			want := int64(400 + grow)
			if rotated {
				want++
			}
			if r.Records != want || r.Size == 0 {
				t.Errorf("grown by %d: %d records", grow, r.Records)
			}
		}
	}
}
