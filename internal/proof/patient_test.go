package proof

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"indelible/internal/store"
)

// brokenStore breaks off bodies: each Get of an object gives at most an eighth of it (not all of it in as many tries as patience has), until
// it has been asked often enough; then whole ones.
type brokenStore struct {
	store.Store
	breaks int              // of each object
	after  func(key string) // called when a body broke off

	mu    sync.Mutex
	asked map[string]int // guarded by mu
}

func (s *brokenStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	body, info, err := s.Store.Get(ctx, key, o)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[key]++; err != nil || s.asked[key] > s.breaks {
		return body, info, err
	}
	return &brokenBody{ReadCloser: body, left: rand.Int64N(info.Size/8 + 1), broken: func() {
		if s.after != nil {
			s.after(key)
		}
	}}, info, nil
}

type brokenBody struct {
	io.ReadCloser
	left   int64
	broken func()
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.broken()
		return 0, &store.Error{Op: "get", Class: store.Ambiguous, Err: errors.New("no answer in time")}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// A body that breaks off says nothing about the object: it is read on from there.
func TestVerifyBrokenBodies(t *testing.T) {
	for _, breaks := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			b := filled(t)
			st := &brokenStore{Store: b.st, breaks: breaks, asked: map[string]int{}}
			r, err := Verify(t.Context(), st, testBase, b.key.Public(), VerifyOptions{Parallel: 1})
			if err != nil || !r.OK() || r.Checked != 599 {
				t.Errorf("bodies that break off %d times: %v, %v", breaks, err, r.Faults)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := filled(t)
		st := patientStore{&brokenStore{Store: b.st, breaks: 1000, asked: map[string]int{}}}
		body, _, err := st.Get(t.Context(), b.key5(), store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); store.ClassOf(err) != store.Ambiguous {
			t.Errorf("a body that breaks off for ever: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := filled(t)
		st := patientStore{&brokenStore{Store: b.st, breaks: 1, asked: map[string]int{}, after: func(key string) { b.st.put(key, []byte("other")) }}}
		body, _, err := st.Get(t.Context(), b.key5(), store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(body); err == nil {
			t.Error("a body was put together from two objects")
		}
	})
}

// A body that comes whole and with the wrong checksum ends with that error, not as if it were right.
func TestWholeBodyWithWrongChecksum(t *testing.T) {
	wrong := &store.Error{Op: "get", Class: store.Ambiguous, Err: errors.New("other bytes came than the checksum says")}
	b := &patientBody{
		ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("bytes"), iotest.ErrReader(wrong))),
		size:       5,
		reopen:     func(int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil },
		pause:      func(int, error) error { return nil },
	}
	if got, err := io.ReadAll(b); string(got) != "bytes" || !errors.Is(err, wrong) {
		t.Errorf("%q, %v", got, err)
	}
}

// closingStore breaks off a body of a record, and refuses that object from then on.
type closingStore struct {
	store.Store
	of     string
	closed atomic.Bool
}

func (s *closingStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if key == s.of && s.closed.Load() {
		return nil, store.Info{}, &store.Error{Op: "get", Class: store.Credentials, Err: errors.New("the token has expired")}
	}
	body, info, err := s.Store.Get(ctx, key, o)
	if err == nil && key == s.of {
		s.closed.Store(true)
		body = &brokenBody{ReadCloser: body, left: 1, broken: func() {}}
	}
	return body, info, err
}

// Credentials that run out in the middle of a body are no fault of the object.
func TestVerifyIsRefusedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := filled(t)
		r, err := Verify(t.Context(), &closingStore{Store: b.st, of: b.key5()}, testBase, b.key.Public(), VerifyOptions{Parallel: 1})
		if store.ClassOf(err) != store.Credentials {
			t.Errorf("got %v, %+v", err, r)
		}
	})
}

// pagedStore fails once behind every ten keys that it lists.
type pagedStore struct{ store.Store }

func (s pagedStore) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		n := 0
		for info, err := range s.Store.List(ctx, o) {
			if n++; n > 10 {
				yield(store.Info{}, &store.Error{Op: "list", Class: store.Throttled, Err: errors.New("slow down")})
				return
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// A listing of many pages goes on after as many errors as there are pages; one that gives nothing ends.
func TestPatientList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := filled(t)
		var got, want []string
		for info := range b.st.List(t.Context(), store.ListOptions{}) {
			want = append(want, info.Key)
		}
		for info, err := range (patientStore{pagedStore{b.st}}).List(t.Context(), store.ListOptions{}) {
			if err != nil {
				t.Fatalf("after %d keys: %v", len(got), err)
			}
			got = append(got, info.Key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d keys of %d", len(got), len(want))
		}
		for _, err := range (patientStore{deafStore{b.st}}).List(t.Context(), store.ListOptions{}) {
			if store.ClassOf(err) != store.Throttled {
				t.Errorf("a store that lists nothing: %v", err)
			}
		}
	})
}

// deafStore lists nothing.
type deafStore struct{ store.Store }

func (deafStore) List(context.Context, store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		yield(store.Info{}, &store.Error{Op: "list", Class: store.Throttled, Err: errors.New("slow down")})
	}
}
