package s3_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// open returns a store on server, through endpoint, with its credentials in the environment.
func open(t testing.TB, server *testserver.Server, cfg s3.Config) *s3.Store {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", server.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if cfg.Endpoint == "" {
		cfg.Endpoint = server.Endpoint
	}
	if cfg.Bucket == "" {
		cfg.Bucket = server.Bucket
	}
	cfg.Region = server.Region
	s, err := s3.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func object(key, body string) store.Object {
	return store.Object{Key: key, Body: bytes.NewReader([]byte(body)), Size: int64(len(body)), Digest: sha256.Sum256([]byte(body))}
}

func TestRoundTrip(t *testing.T) {
	s := open(t, testserver.Versitygw(t), s3.Config{})
	o := object("2026-01-02/time-1.json", `{"a":1}`)
	o.Header = map[string]string{"content-type": "application/json", "content-disposition": `inline; filename="x"`, "expires": "0"}
	o.Meta = map[string]string{"indelible-seq": "7", "name": "Zoë  =?x", "spaces": " a "}
	put, err := s.Put(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	head, err := s.Head(t.Context(), o.Key, store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if head.Digest != o.Digest || head.ETag != put.ETag || head.Size != o.Size {
		t.Errorf("head %+v, put %+v", head, put)
	}
	for k, v := range o.Meta {
		if head.Meta[k] != v {
			t.Errorf("meta %s: %q, want %q", k, head.Meta[k], v)
		}
	}
	for k, v := range o.Header {
		if head.Header[k] != v {
			t.Errorf("header %s: %q, want %q", k, head.Header[k], v)
		}
	}
	body, info, err := s.Get(t.Context(), o.Key, store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	body.Close()
	if err != nil || string(b) != `{"a":1}` || info.Digest != o.Digest {
		t.Errorf("get %q %v %+v", b, err, info)
	}
	body, info, err = s.Get(t.Context(), o.Key, store.GetOptions{From: 2, To: 4})
	if err != nil {
		t.Fatal(err)
	}
	b, err = io.ReadAll(body)
	body.Close()
	if err != nil || string(b) != `a"` || info.Size != o.Size {
		t.Errorf("range %q %v %+v", b, err, info)
	}
	if _, err := s.Put(t.Context(), o); store.ClassOf(err) != store.Exists {
		t.Errorf("a second put: %v, want exists", err)
	}
	if _, err := s.Head(t.Context(), "none", store.GetOptions{}); store.ClassOf(err) != store.NotFound {
		t.Errorf("head of nothing: %v, want not found", err)
	}
	if _, _, err := s.Get(t.Context(), "none", store.GetOptions{}); store.ClassOf(err) != store.NotFound {
		t.Errorf("get of nothing: %v, want not found", err)
	}
	for info, err := range s.List(t.Context(), store.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != o.Key || info.ETag != put.ETag {
			t.Errorf("list: %+v", info)
		}
	}
}

// One of many writers of a key wins; the others learn that it exists, or that they lost a race.
func TestOneWinner(t *testing.T) {
	s := open(t, testserver.Versitygw(t), s3.Config{})
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := s.Put(t.Context(), object("key", fmt.Sprint("writer ", i)))
			switch {
			case err == nil:
				won.Add(1)
			case store.ClassOf(err) != store.Exists:
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d writers won, want 1", won.Load())
	}
}

func TestStoreChecksTheDigest(t *testing.T) {
	s := open(t, testserver.Versitygw(t), s3.Config{})
	o := object("key", "what is sent")
	o.Digest = sha256.Sum256([]byte("what was meant"))
	if _, err := s.Put(t.Context(), o); err == nil {
		t.Error("the store took bytes that are not those of the digest")
	}
	if _, err := s.Head(t.Context(), "key", store.GetOptions{}); store.ClassOf(err) != store.NotFound {
		t.Errorf("head: %v, want not found", err)
	}
}
