package ingest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
)

// taking runs a Take and tells whether it has returned, once everything waits.
func taking(ctx context.Context, g *Grant, n int64) func() (done bool, err error) {
	result := make(chan error, 1)
	go func() { result <- g.Take(ctx, n) }()
	return func() (bool, error) {
		synctest.Wait()
		select {
		case err := <-result:
			result <- err
			return true, err
		default:
			return false, nil
		}
	}
}

// One request at a time gets more than there is; the others wait in the order
// of arrival, except for who waits for his own share.
func TestMemoryOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 2 * SmallBody
		m := NewMemory(10*unit, 6*unit)
		greedy, elder, second, other := m.Grant("a"), m.Grant("a"), m.Grant("a"), m.Grant("b")
		for _, first := range []*Grant{&greedy, &elder} { // the second one beyond the sender's share
			if done, err := taking(t.Context(), first, 6*unit)(); !done || err != nil {
				t.Fatal(done, err)
			}
		}
		elder.Release()
		if done, err := taking(t.Context(), &elder, 6*unit)(); !done || err != nil {
			t.Fatal("there is no elder, and it waits:", done, err)
		}
		if done, err := taking(t.Context(), &elder, 6*unit)(); !done || err != nil {
			t.Fatal("the elder waits:", done, err)
		}
		if got := elder.large; got != 12*unit {
			t.Fatal(got)
		}
		waits := taking(t.Context(), &second, unit)
		large := taking(t.Context(), &other, unit)
		for _, got := range []func() (bool, error){waits, large} {
			if done, _ := got(); done {
				t.Error("took what the elder has")
			}
		}
		elder.Release()
		for _, got := range []func() (bool, error){waits, large} { // the next elder, and one that fits
			if done, err := got(); !done || err != nil {
				t.Error(done, err)
			}
		}
		full, late := m.Grant("c"), m.Grant("d")
		first := taking(t.Context(), &full, 4*unit)
		if done, _ := first(); done {
			t.Error("more than there is")
		}
		behind := taking(t.Context(), &late, unit)
		if done, _ := behind(); done {
			t.Error("a small one passed a large one that came first, which may never get its turn")
		}
		greedy.Release()
		for _, got := range []func() (bool, error){first, behind} {
			if done, err := got(); !done || err != nil {
				t.Error(done, err)
			}
		}
		for _, g := range []*Grant{&second, &other, &full, &late} {
			g.Release()
		}
		if m.large.used != 0 || len(m.large.senders) != 0 || len(m.large.waiting) != 0 || m.large.elder != nil {
			t.Errorf("left: %d bytes, %v, %d waiting", m.large.used, m.large.senders, len(m.large.waiting))
		}
	})
}

// Who gives up leaves nothing behind, and whom he stood before gets his turn.
func TestMemoryGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const unit = 2 * SmallBody
		m := NewMemory(4*unit, 4*unit)
		elder, holder, large, small := m.Grant("e"), m.Grant("a"), m.Grant("b"), m.Grant("c")
		for _, g := range []*Grant{&holder, &elder} {
			if done, err := taking(t.Context(), g, 3*unit)(); !done || err != nil {
				t.Fatal(done, err)
			}
		}
		elder.large = unit // it keeps its place
		m.large.give(&elder, 2*unit)
		ctx, cancel := context.WithCancelCause(t.Context())
		first := taking(ctx, &large, unit)
		if done, _ := first(); done {
			t.Fatal("more than there is")
		}
		behind := taking(t.Context(), &small, unit)
		cancel(ErrHeld)
		if done, err := first(); !done || !errors.Is(err, ErrHeld) {
			t.Error(done, err)
		}
		if done, _ := behind(); done {
			t.Error("more than there is")
		}
		elder.Release()
		if done, err := behind(); !done || err != nil {
			t.Error(done, err)
		}
	})
}

// Requests that hold a part and wait for the rest come to an end, all of them.
func TestMemoryDoesNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(10*SmallBody, 10*SmallBody)
		for range 50 {
			go func() {
				g := m.Grant("a")
				defer g.Release()
				for held := int64(0); held < 8*SmallBody; held += SmallBody {
					if err := g.Take(t.Context(), SmallBody); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		synctest.Wait()
		if len(m.large.waiting) > 0 {
			t.Errorf("%d wait for each other", len(m.large.waiting))
		}
	})
}

// A request moves to the large lane when it outgrows the small one, and returns what it replaced.
func TestMemoryLanes(t *testing.T) {
	m := NewMemory(1<<30, 1<<30)
	g := m.Grant("a")
	for _, step := range []struct{ held, next, small, large int64 }{
		{0, 1 << 10, 1 << 10, 0}, // a decoder
		{0, SmallBody / 4, SmallBody/4 + 1<<10, 0},
		{SmallBody / 4, SmallBody / 2, SmallBody/2 + 1<<10, 0},
		{SmallBody / 2, SmallBody, 1 << 10, SmallBody},
		{SmallBody, 2 * SmallBody, 1 << 10, 2 * SmallBody},
	} {
		if err := g.Grow(t.Context(), step.held, step.next); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(m.small.used, m.large.used), fmt.Sprint(step.small, step.large); got != want {
			t.Errorf("after %+v: %s, want %s", step, got, want)
		}
	}
	g.Release()
	if m.small.used != 0 || m.large.used != 0 || len(m.small.senders)+len(m.large.senders) != 0 {
		t.Errorf("left: %d, %d", m.small.used, m.large.used)
	}
}
