package upload_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/store"
)

// liar confirms the first puts of each key with a checksum that is not theirs.
type liar struct {
	*bucket
	lies int
}

func (l *liar) Put(ctx context.Context, o store.Object) (store.Info, error) {
	info, err := l.bucket.Put(ctx, o)
	if err == nil && l.lies > 0 {
		l.lies--
		l.mu.Lock()
		delete(l.objects, o.Key) // it kept nothing
		l.mu.Unlock()
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
