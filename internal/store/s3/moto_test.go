package s3_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// moto does not repeat the checksum in its answer to a PUT, and compares none: its
// ETag confirms what it got, and the check says what that is worth.
func TestMoto(t *testing.T) {
	server := testserver.Moto(t)
	s := open(t, server, s3.Config{})
	for i := range 70 {
		if _, err := s.Put(t.Context(), object(fmt.Sprint("k", i), fmt.Sprint("body ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Confirmation(); got != store.ByETag {
		t.Errorf("confirmed by %q", got)
	}
	if _, err := s.Put(t.Context(), object("k1", "other")); store.ClassOf(err) != store.Exists {
		t.Errorf("put over an object: %v", err)
	}
	wrong := store.Object{Key: "wrong", Body: bytes.NewReader([]byte("body")), Size: 4, Digest: sha256.Sum256([]byte("other"))}
	fresh := open(t, server, s3.Config{}) // one that reads its first object back
	if _, err := fresh.Put(t.Context(), wrong); !errors.Is(err, store.ErrOtherBytes) {
		t.Errorf("bytes that are not those of the checksum: %v", err)
	}
	if f := check(t, s)["checksum"]; f.State != s3.Warning {
		t.Errorf("%+v", f)
	}
}
