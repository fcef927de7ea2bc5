package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

const (
	kills   = 6
	clients = 8
	alive   = 250 * time.Millisecond // how long a daemon lives before it is killed
)

// oracle knows every record that was sent, and which were acked.
type oracle struct {
	mu    sync.Mutex
	sent  map[string][]byte // guarded by mu
	acked map[string]bool   // guarded by mu
}

func (o *oracle) note(key string, body []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[key] = body
}

func (o *oracle) ack(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[key] = true
}

// Every record that was acked is in the store exactly once with its bytes,
// whenever the process dies; what was not acked is there whole or not at all.
func TestKill(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	o := &oracle{sent: map[string][]byte{}, acked: map[string]bool{}}
	for round := range kills {
		p := start(t, data)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() { send(ctx, o, p.at.S3, fmt.Sprintf("day-%d/client-%d", round, client)) })
		}
		time.Sleep(alive) // the load has to run for a while: nothing to wait for
		p.kill(t)
		cancel()
		wg.Wait()
	}
	p := start(t, data)
	retry(t, o, p.at.S3)
	p.stop(t)
	o.check(t, filepath.Join(data, "store"))
	// And the log says so: every life is in it, and nothing is missing or changed.
	var out, complaints bytes.Buffer
	if status := run([]string{"verify", "--data", data}, &out, &complaints); status != exitOK {
		t.Errorf("verify: exit %d\n%s%s", status, &out, &complaints)
	}
}

// send puts records one after the other until the daemon is gone.
func send(ctx context.Context, o *oracle, addr, dir string) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for n := 0; ctx.Err() == nil; n++ {
		body := randomBody(n)
		key := fmt.Sprintf("%s/time-%06d.json", dir, n)
		o.note(key, body)
		if put(ctx, client, addr, key, body) != nil {
			return
		}
		o.ack(key)
	}
}

// randomBody is mostly a few KiB, and now and then more than the spool keeps inline.
func randomBody(n int) []byte {
	size := rand.IntN(8 << 10)
	if n%40 == 7 {
		size = 400 << 10
	}
	body := make([]byte, size)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	return body
}

func put(ctx context.Context, client *http.Client, addr, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/audit/"+key, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("put %s: %s", key, resp.Status)
	}
	return nil
}

// retry sends again what was not acked, as senders do, and some of what was:
// neither may make a second object.
func retry(t *testing.T, o *oracle, addr string) {
	t.Helper()
	n := 0
	for key, body := range o.sent {
		if n++; o.acked[key] && n%7 != 0 {
			continue
		}
		if err := put(t.Context(), http.DefaultClient, addr, key, body); err != nil {
			t.Fatal(err)
		}
		o.acked[key] = true
	}
}

// check compares the store with what was sent.
func (o *oracle) check(t *testing.T, store string) {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(store, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "_indelible" { // the store's own: attributes
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(store, name)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(rel)
		got, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		switch want, ok := o.sent[key]; {
		case !ok:
			t.Errorf("%s was never sent under that key", key)
		case !bytes.Equal(got, want):
			t.Errorf("%s has %d bytes that differ from the %d sent", key, len(got), len(want))
		}
		found[key] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for key := range o.acked {
		if !found[key] {
			t.Errorf("%s was acked and is not in the store", key)
		}
	}
	if len(o.acked) < kills*clients {
		t.Errorf("only %d records were acked: the test shows nothing", len(o.acked))
	}
	t.Logf("%d sent, %d acked, %d in the store", len(o.sent), len(o.acked), len(found))
}
