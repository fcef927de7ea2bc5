package upload_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// liar confirms the first puts of each key with a checksum that is not theirs.
type liar struct {
	*bucket
	lies int
}

func (l *liar) Put(ctx context.Context, o store.Object) (store.Info, error) {
	info, err := l.bucket.Put(ctx, o)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.lies > 0 {
		l.lies--
		delete(l.objects, o.Key) // it kept nothing
		info.Digest[0] ^= 1
	}
	return info, err
}

// A store that confirms other bytes has not stored ours.
func TestWrongConfirmation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.opts.Store = &liar{bucket: w.bucket, lies: 5}
		for _, key := range []string{"k1", "k2", "k3"} {
			w.src.add("b", key, "body of "+key)
		}
		w.start()
		w.drain(10 * time.Minute)
		w.stop()
		w.check()
	})
}

// spoiler is a bucket behind a proxy that changes the bytes of some puts, and
// whose driver finds it by reading back. Head goes on telling the checksum that was sent.
type spoiler struct {
	*bucket
	spoils func(key string) bool
}

func (*spoiler) Confirmation() store.Confirmation { return store.ByHead }

func (s *spoiler) Put(ctx context.Context, o store.Object) (store.Info, error) {
	info, err := s.bucket.Put(ctx, o)
	if err != nil || !s.spoils(o.Key) {
		return info, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.objects[o.Key]
	changed.body = bytes.ToUpper(changed.body)
	s.objects[o.Key] = changed
	return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Ambiguous, Err: store.ErrOtherBytes}
}

// Bytes that changed on the way are no copy of the record, whatever the store says of
// them: the record goes to another name. One that is changed each time leaves few objects, and holds up no other.
func TestChangedOnTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.latency = 10 * time.Millisecond
		w.opts.Store = &spoiler{w.bucket, func(key string) bool { return key == "once" || strings.HasPrefix(key, "always") }}
		once, always := w.src.add("b", "once", "body"), w.src.add("b", "always", "body")
		for i := range 300 {
			w.src.add("b", fmt.Sprint("k", i), "body")
		}
		w.start()
		for i := range 60 {
			time.Sleep(time.Minute)
			w.src.add("b", fmt.Sprint("later", i), "body")
		}
		w.drain(time.Minute)
		w.stop()
		if got := w.src.settled[once].Stored; got != "once~1" {
			t.Errorf("stored as %q", got)
		}
		if body, _ := w.bucket.body("once~1"); body != "body" {
			t.Errorf("it holds %q", body)
		}
		if state := w.src.stateOf(always); state != record.Deferred {
			t.Errorf("the one that is always changed is %s", state)
		}
		left := 0
		for key := range w.bucket.objects {
			if strings.HasPrefix(key, "always") {
				left++
			}
		}
		if left > 9 { // as many names as one attempt goes through
			t.Errorf("%d objects are left of it", left)
		}
	})
}
