package upload_test

import (
	"testing"
	"testing/synctest"
	"time"
)

// Other bytes under a taken key are sent again after their first copy was
// released: the second copy gets the first one's object.
func TestVariantSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.start()
		for _, body := range []string{"one", "two", "six"} {
			w.src.add("b", "k.json", body)
		}
		w.drain(time.Minute)
		again := w.src.add("b", "k.json", "two")
		w.drain(time.Minute)
		w.stop()
		if got := w.src.settled[again].Stored; got != "k~2.json" {
			t.Errorf("sent again it is stored as %q, the first copy as k~2.json", got)
		}
		if n := len(w.bucket.objects); n != 3 {
			t.Errorf("%d objects of three different bodies", n)
		}
		if got := w.up.Stats().Collisions; got != 2 {
			t.Errorf("%d collisions, want 2", got)
		}
	})
}
