package upload_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/upload"
)

// A store that loses, or changes, an object some time after its answer is found out
// when each object is looked at once more; the record is stored again before it is released.
func TestConfirmLater(t *testing.T) {
	for _, confirm := range []upload.Confirm{upload.ConfirmOff, upload.ConfirmHead, upload.ConfirmRead} {
		for _, change := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s change=%v", confirm, change), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, "")
					w.opts.Confirm, w.opts.ConfirmAfter = confirm, 5*time.Minute
					for i := range 60 {
						w.src.add("b", fmt.Sprint("k", i), "body")
					}
					w.start()
					time.Sleep(2 * time.Minute)
					if released := w.src.Released() > 0; released != (confirm == upload.ConfirmOff) {
						t.Errorf("released after two minutes: %v", released)
					}
					w.bucket.mu.Lock()
					for i := range 6 {
						key := fmt.Sprint("k", i*10)
						o := w.bucket.objects[key]
						if o.body = bytes.ToUpper(o.body); change {
							w.bucket.objects[key] = o
						} else {
							delete(w.bucket.objects, key)
						}
					}
					w.bucket.mu.Unlock()
					time.Sleep(15 * time.Minute)
					w.drain(time.Minute)
					w.stop()
					good := 0
					for seq, o := range w.src.settled {
						if body, _ := w.bucket.body(o.Stored); body == "body" {
							good++
						} else {
							t.Logf("record %d: %q holds %q", seq, o.Stored, body)
						}
					}
					want := 60
					if confirm == upload.ConfirmOff || confirm == upload.ConfirmHead && change {
						want = 54 // the limit of that choice
					}
					if good != want || len(w.src.settled) != 60 {
						t.Errorf("%d of %d records are whole in the store, want %d", good, len(w.src.settled), want)
					}
					if st := w.up.Stats(); (st.Vanished == 6) != (confirm != upload.ConfirmOff && !change) {
						t.Errorf("stats %+v", st)
					}
					if confirm != upload.ConfirmOff && !change && !strings.Contains(w.log.String(), "the store lost an object") {
						t.Error("nothing in the log")
					}
				})
			})
		}
	}
}
