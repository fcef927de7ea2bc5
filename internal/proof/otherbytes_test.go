package proof

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"indelible/internal/store"
)

// refusing answers a read of one object with the store's own word that its bytes are others: at once, or
// once they were read.
type refusing struct {
	store.Store
	key  string
	late bool
}

func (s refusing) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := s.Store.Get(ctx, key, o)
	if key != s.key || err != nil {
		return body, info, err
	}
	wrong := &store.Error{Op: "get", Key: key, Class: store.Ambiguous, Err: store.ErrOtherBytes}
	if !s.late {
		return nil, info, errors.Join(wrong, body.Close())
	}
	return io.NopCloser(io.MultiReader(body, failing{wrong})), info, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// An object whose bytes are not those of the checksum that the store has of it was changed: it is no
// read that failed.
func TestBytesThatTheStoreDoubts(t *testing.T) {
	b := filled(t)
	for _, late := range []bool{false, true} {
		r, err := Verify(t.Context(), refusing{b.st, b.key5(), late}, testBase, b.key.Public(), VerifyOptions{})
		if err != nil || r.FaultCount != 1 || r.Faults[0].Seq != 5 || !strings.Contains(r.Faults[0].What, "was changed") {
			t.Errorf("late %v: %v, %v", late, err, r.Faults)
		}
	}
}
