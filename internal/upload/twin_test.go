package upload_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/store"
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

// A key with very many variants of one size delivers as fast as others do: what each
// record may cost is bounded.
func TestManyVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 800
		w := newWorld(t, "")
		w.bucket.latency = 50 * time.Millisecond
		w.start()
		for n := range records {
			w.src.add("b", "k.json", fmt.Sprintf("%04d", n))
		}
		w.drain(30 * time.Minute)
		w.stop()
		if n := len(w.bucket.objects); n != records {
			t.Errorf("%d objects of %d different bodies", n, records)
		}
		if w.bucket.calls > 3*records { // to look at the key, and to put: what the key has besides is listed once
			t.Errorf("%d calls for %d records", w.bucket.calls, records)
		}
	})
}

// After a restart, and where nothing is remembered any more, the variants are listed once, and none is
// looked at more than once.
func TestVariantsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 60
		w := newWorld(t, "")
		w.start()
		for n := range records {
			w.src.add("b", "k.json", fmt.Sprintf("%04d", n))
		}
		w.drain(30 * time.Minute)
		w.stop()
		w.start()
		before := w.bucket.calls
		for n := range records {
			w.src.add("b", "k.json", fmt.Sprintf("%04d", records+n))
		}
		w.drain(30 * time.Minute)
		again := w.src.add("b", "k.json", "0008")
		w.drain(30 * time.Minute)
		w.stop()
		if n := len(w.bucket.objects); n != 2*records || w.src.settled[again].Stored != "k~9.json" {
			t.Errorf("%d objects of %d different bodies; one sent again is %q", n, 2*records, w.src.settled[again].Stored)
		}
		if calls := w.bucket.calls - before; calls > 5*records {
			t.Errorf("%d calls for %d records", calls, records)
		}
	})
}

// A search that no attempt has the time for goes on where the last one ended.
func TestTwinOfSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.start()
		const records = 14
		for n := range records {
			w.src.add("b", "k.json", fmt.Sprintf("%04d", n))
		}
		w.drain(time.Hour)
		w.bucket.latency = 7 * time.Second                        // an attempt has 30
		again := w.src.add("b", "k.json", fmt.Sprintf("%04d", 8)) // the last of the variants by name
		w.drain(time.Hour)
		w.stop()
		if got := w.src.settled[again].Stored; got != "k~9.json" || len(w.bucket.objects) != records {
			t.Errorf("sent again it is stored as %q, %d objects", got, len(w.bucket.objects))
		}
	})
}

// A list that is refused for a moment makes no second object.
func TestTwinAfterRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.start()
		w.src.add("b", "k.json", "one")
		w.src.add("b", "k.json", "two")
		w.drain(time.Minute)
		refuse := 2
		w.bucket.script = func(op, _ string) fault {
			if op == "list" && refuse > 0 {
				refuse--
				return fault{class: store.Credentials}
			}
			return fault{}
		}
		again := w.src.add("b", "k.json", "two")
		w.drain(time.Minute)
		w.stop()
		if got := w.src.settled[again].Stored; got != "k~2.json" || len(w.bucket.objects) != 2 {
			t.Errorf("sent again it is stored as %q, %d objects", got, len(w.bucket.objects))
		}
	})
}

// Who may not list stores other bytes under a taken key all the same.
func TestVariantWithoutList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.bucket.script = func(op, _ string) fault {
			if op == "list" {
				return fault{class: store.Credentials}
			}
			return fault{}
		}
		w.start()
		w.src.add("b", "k.json", "one")
		second := w.src.add("b", "k.json", "two")
		w.drain(time.Minute)
		w.stop()
		if got := w.src.settled[second].Stored; got != "k~2.json" {
			t.Errorf("stored as %q", got)
		}
	})
}
