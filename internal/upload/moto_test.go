package upload_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
	"indelible/internal/upload"
)

// A healthy store that does not repeat checksums gets everything, without one retry.
func TestToMoto(t *testing.T) {
	server := testserver.Moto(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Secret)
	s, err := s3.Open(t.Context(), s3.Config{Bucket: server.Bucket, Endpoint: server.Endpoint, Region: server.Region})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "logs/")
	w.opts.Store = s
	for i := range 400 {
		w.src.add("b", fmt.Sprint("k", i), fmt.Sprint("body ", i))
	}
	w.start()
	w.drain(2 * time.Minute)
	if st := w.up.Stats(); st.State != upload.OK || st.Retries != 0 || st.Confirms != store.ByETag {
		t.Errorf("stats %+v", st)
	}
	w.stop()
	for _, e := range w.src.entries { // its HEAD tells no checksum: read everything
		body, info, err := s.Get(t.Context(), w.src.settled[e.Seq].Stored, store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		_, err = io.Copy(h, body)
		body.Close()
		if err != nil || record.Digest(h.Sum(nil)) != e.Digest || info.Meta["indelible-seq"] != fmt.Sprint(e.Seq) {
			t.Errorf("record %d: %v, metadata %v", e.Seq, err, info.Meta)
		}
	}
}
