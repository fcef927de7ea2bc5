package ingest

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// pausing gives one byte after each pause.
type pausing struct {
	pauses []time.Duration
}

func (p *pausing) Read(b []byte) (int, error) {
	if len(p.pauses) == 0 {
		return 0, io.EOF
	}
	time.Sleep(p.pauses[0])
	p.pauses = p.pauses[1:]
	return copy(b, "x"), nil
}

// The time that the sender takes does not count, whoever waits for the context, and whenever.
func TestHoldCountsOurOwnTime(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var b Body
			b.Init(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", &pausing{[]time.Duration{25 * time.Second, 25 * time.Second}}), DefaultPace)
			var h Hold
			h.Begin(&b, 20*time.Second)
			defer h.End()
			if early {
				h.Done()
			}
			if _, err := io.ReadAll(&b); err != nil {
				t.Fatal(err)
			}
			if h.Err() != nil {
				t.Fatal("ended while the sender was waited for")
			}
			begun := time.Now()
			<-h.Done()
			if took := time.Since(begun); took != 20*time.Second {
				t.Errorf("ended after %v", took)
			}
			if !errors.Is(h.Err(), ErrHeld) || !errors.Is(context.Cause(&h), ErrHeld) || !errors.Is(h.Err(), context.DeadlineExceeded) {
				t.Error(h.Err())
			}
		})
	}
}

// A context that nobody waited for is over all the same, and one that ended lets everybody go.
func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Body
		b.Init(httptest.NewRecorder(), httptest.NewRequest("PUT", "/", nil), DefaultPace)
		var h Hold
		h.Begin(&b, 20*time.Second)
		time.Sleep(20 * time.Second)
		if !errors.Is(h.Err(), ErrHeld) {
			t.Error(h.Err())
		}
		<-h.Done()
		h.End()

		var other Hold
		other.Begin(&b, 20*time.Second)
		waits := make(chan struct{})
		go func() { <-other.Done(); close(waits) }()
		synctest.Wait()
		other.End()
		<-waits
		if !errors.Is(other.Err(), context.Canceled) {
			t.Error(other.Err())
		}
		<-other.Done()
	})
}
