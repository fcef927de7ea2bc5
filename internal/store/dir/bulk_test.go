package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/store"
)

// What Bulk reads is what Get reads, or it asks for Get.
func TestBulk(t *testing.T) {
	t.Run("Open", func(t *testing.T) {
		top := t.TempDir()
		fsys, err := osdisk.Open(top)
		if err != nil {
			t.Fatal(err)
		}
		defer fsys.Close()
		testBulk(t, top, Open(fsys))
	})
	t.Run("OpenPath", func(t *testing.T) {
		top := t.TempDir()
		s, err := OpenPath(top)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		testBulk(t, top, s)
	})
}

func testBulk(t *testing.T, top string, s *Store) {
	keys := []string{"plain", "2026/a.json", "2026/b", "2026/b/c", "odd %/ü\n", strings.Repeat("x", 700)}
	for i := range maxOpen + 10 {
		keys = append(keys, fmt.Sprintf("dir%d/k", i))
	}
	for i, key := range keys {
		data := bytes.Repeat([]byte{byte(i)}, 3000*(i%5))
		_, err := s.Put(t.Context(), store.Object{Key: key, Body: bytes.NewReader(data), Size: int64(len(data)), Digest: sha256.Sum256(data),
			Header: map[string]string{"content-type": "a<b>"[:1+i%4]}, Meta: map[string]string{"n": fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for key, err := range s.Names(t.Context(), store.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, key)
	}
	if len(names) != len(keys) {
		t.Errorf("%d names of %d objects", len(names), len(keys))
	}
	read, done := s.Bulk()
	quick := 0
	for i, key := range keys {
		got, info, err := read(t.Context(), key, []byte("before"), 1<<20)
		if err != nil {
			continue
		}
		quick++
		body, want, err := s.Get(t.Context(), key, store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_ = body.Close()
		if !bytes.Equal(got[6:], bytes.Repeat([]byte{byte(i)}, 3000*(i%5))) || string(got[:6]) != "before" {
			t.Errorf("%q: other bytes", key)
		}
		if info.Size != want.Size || info.Digest != want.Digest || !info.ModTime.Equal(want.ModTime) || !maps.Equal(info.Header, want.Header) || !maps.Equal(info.Meta, want.Meta) {
			t.Errorf("%q: %+v, want %+v", key, info, want)
		}
	}
	if quick < len(keys)-10 {
		t.Errorf("%d of %d were read", quick, len(keys))
	}
	if got, _, err := read(t.Context(), "2026/a.json", nil, 100); err != nil || len(got) != 100 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	for _, key := range []string{"none", "2026/none", "no/dir", "", "../x"} {
		if _, _, err := read(t.Context(), key, nil, 1); err == nil {
			t.Errorf("%q was read", key)
		}
	}
	if err := os.Remove(filepath.Join(top, "_indelible/.meta/plain")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(t.Context(), "plain", nil, 1); err == nil {
		t.Error("an object without attributes was read")
	}
	if err := done(); err != nil {
		t.Error(err)
	}
}

// FuzzDecodePlain: what is read without reflection is read so with it.
func FuzzDecodePlain(f *testing.F) {
	at := hashed(7, make([]byte, 32), make([]byte, 16))
	at.Time = time.Unix(1e9, 5).UTC()
	for _, m := range []map[string]string{nil, {"a": "b"}, {"a": "b", "c": "\"<é"}} {
		at.Header, at.Meta = m, m
		b, err := json.Marshal(at)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodePlain(b)
		if !ok {
			return
		}
		var want attributes
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%q was read: %v", b, err)
		}
		if got.Size != want.Size || got.SHA256 != want.SHA256 || got.MD5 != want.MD5 || !got.Time.Equal(want.Time) || !maps.Equal(got.Header, want.Header) || !maps.Equal(got.Meta, want.Meta) {
			t.Fatalf("%q: %+v, want %+v", b, got, want)
		}
	})
}
