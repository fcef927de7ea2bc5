package upload_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// A record that was parked comes back to the half of a put that a kill cut
// short: the bytes, and nothing that says whose they are. It is put once more, whole.
func TestHalfMadeObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		disk := crashdisk.New()
		file, err := disk.Create("k.json")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt([]byte("one"), 0); err != nil {
			t.Fatal(err)
		}
		w.opts.Store = dir.Open(disk)
		seq := w.src.add("b", "k.json", "one")
		if err := w.src.Settle(t.Context(), record.Outcome{Info: w.src.entries[0].Info, State: record.Deferred}); err != nil {
			t.Fatal(err)
		}
		w.start()
		time.Sleep(time.Minute)
		w.stop()
		if state := w.src.stateOf(seq); state != record.Stored {
			t.Errorf("the record is %s", state)
		}
		info, err := w.opts.Store.Head(t.Context(), "k.json", store.GetOptions{})
		if err != nil || info.Meta["indelible-seq"] != "1" {
			t.Errorf("%v, metadata %v", err, info.Meta)
		}
	})
}

// Equal bytes that somebody else put there before us count as stored, once a put said that the name is taken.
func TestForeignObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		for i, body := range []string{"one", "two"} {
			key := fmt.Sprintf("k%d", i)
			w.bucket.objects[key] = object{info: store.Info{Key: key, Size: 3, ETag: "e", Digest: sha256.Sum256([]byte("one"))}, body: []byte("one")}
			w.src.add("b", key, body)
		}
		w.start()
		w.drain(time.Minute)
		w.stop()
		if got := w.src.settled[1].Stored; got != "k0" {
			t.Errorf("equal bytes: stored as %q", got)
		}
		if got := w.src.settled[2].Stored; got != "k1~2" {
			t.Errorf("other bytes: stored as %q", got)
		}
		if body, _ := w.bucket.body("k1"); body != "one" {
			t.Errorf("the stranger's object is %q now", body)
		}
	})
}

// Two senders' buckets share a name space, and their metadata leaves no room for the log's name.
func TestSendersWithMuchMetadata(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		for i, bucket := range []string{"b1", "b2"} {
			w.src.add(bucket, "k", "one")
			w.src.entries[i].Attrs = record.Attrs{{Name: "x-amz-meta-a", Value: strings.Repeat("x", 1925)}}
		}
		w.start()
		w.drain(time.Minute)
		w.stop()
		w.check()
		for key, o := range w.bucket.objects {
			if o.info.Meta["indelible-log"] != "" || o.info.Meta["indelible-seq"] == "" {
				t.Errorf("%s: metadata %v", key, o.info.Meta)
			}
		}
	})
}
