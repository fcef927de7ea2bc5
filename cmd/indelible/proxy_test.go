package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/capture"
)

// provider is a model provider that knows what it was asked and what it sent.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	asked    map[string]bool   // request bodies that came whole; guarded by mu
	sent     map[string]string // what was sent so far, by request body; guarded by mu
	answered map[string]string // what a client took for a whole answer; guarded by mu
	partly   map[string]string // what a client got of another one; guarded by mu
}

func newProvider(t *testing.T) *provider {
	p := &provider{asked: map[string]bool{}, sent: map[string]string{}, answered: map[string]string{}, partly: map[string]string{}}
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

// answer is short for odd calls, and else a stream.
func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	ask := string(b)
	p.mu.Lock()
	p.asked[ask] = true
	p.mu.Unlock()
	say := func(text string) {
		p.mu.Lock()
		p.sent[ask] += text
		p.mu.Unlock()
		_, _ = io.WriteString(w, text)
	}
	var call struct{ N, Events int }
	if err := json.Unmarshal(b, &call); err != nil {
		return
	}
	if call.Events == 0 {
		text := fmt.Sprintf(`{"object":"chat.completion","n":%d,"choices":[]}`, call.N)
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		say(text)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range call.Events {
		say(fmt.Sprintf("data: {\"object\":\"chat.completion.chunk\",\"i\":%d}\n\n", i))
		w.(http.Flusher).Flush()
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	say("data: [DONE]\n\n")
}

// call asks through the proxy, and takes [DONE] for the end, as SDKs do.
func (p *provider) call(ctx context.Context, proxy, ask string) error {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+proxy+"/mock/v1/chat/completions", strings.NewReader(ask))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 200 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := resp.Body.Read(buf)
		got.Write(buf[:n])
		p.mu.Lock()
		if err == io.EOF || strings.Contains(got.String(), "[DONE]") {
			p.answered[ask] = got.String()
			p.mu.Unlock()
			return nil
		}
		p.partly[ask] = got.String()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// proxyKills is how many processes die. go run ./test/torture --only streams has hundreds, and power cuts.
const proxyKills = 2

// Whenever the process is killed: what the provider was asked has an open record, what a client took
// for a whole answer has its close record, and of a stream that was under way for a second the next process
// records what had passed.
func TestProxyKill(t *testing.T) {
	dir := t.TempDir()
	data, up := filepath.Join(dir, "data"), newProvider(t)
	config := filepath.Join(dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("doors: {proxy: {upstreams: {mock: \""+up.URL+"\"}}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--config", config, "--s3", "off", "--proxy", "127.0.0.1:0"}
	n := 0
	for round := range proxyKills {
		p := startServe(t, data, nil, flags...)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for client := range 8 {
			first := n
			n += 1_000_000
			wg.Go(func() {
				for i := first; ctx.Err() == nil; i++ {
					events := []int{0, 5, 0, 20, 0, 40, 0, 1000}[client]
					if up.call(ctx, p.at.Proxy, fmt.Sprintf(`{"n":%d,"events":%d}`, i, events)) != nil {
						return
					}
				}
			})
		}
		time.Sleep(1300*time.Millisecond + time.Duration(round%7)*37*time.Millisecond) // the load has to run
		p.kill(t)
		cancel()
		wg.Wait()
	}
	last := startServe(t, data, nil, flags...)
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(10 * pause) { // what is counted is what is in the store
		var out, complaints bytes.Buffer
		if status := run([]string{"status", "--json", "--data", data}, &out, &complaints); status == exitOK && strings.Contains(out.String(), `"pending":0,`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("records are still pending: %s%s", &out, &complaints)
		}
	}
	last.stop(t)
	up.check(t, filepath.Join(data, "store"))
	var out, complaints bytes.Buffer
	if status := run([]string{"verify", "--data", data}, &out, &complaints); status != exitOK {
		t.Errorf("verify: exit %d\n%s%s", status, &out, &complaints)
	}
}

// check compares with the records.
func (p *provider) check(t *testing.T, store string) {
	opens, ends := map[string]string{}, map[string]*capture.Exchange{} // call id by request; end by call id
	err := filepath.WalkDir(filepath.Join(store, "proxy"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		e, _, err := capture.Parse(b)
		if err != nil {
			return err
		}
		if e.Kind == capture.Open {
			opens[string(e.Request.Body.Bytes)] = e.ID
		} else if before := ends[e.ID]; before == nil || before.Transport == capture.Unknown {
			ends[e.ID] = e // of two, the complete one counts
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	unknown := 0
	for ask := range p.asked {
		id, ok := opens[ask]
		if !ok {
			t.Errorf("the provider was asked %s, and there is no open record", ask)
			continue
		}
		end := ends[id]
		if whole, ok := p.answered[ask]; ok {
			if end == nil || end.Transport != capture.Complete || string(end.Response.Body.Bytes) != whole {
				t.Errorf("%s was answered, and its close record is %+v", ask, end)
			}
			continue
		}
		if end != nil && end.Transport == capture.Unknown {
			unknown++
			if got := string(end.Response.Body.Bytes); !strings.HasPrefix(p.sent[ask], got) || len(got) < len(p.partly[ask])/2 {
				t.Errorf("%s: %d bytes are recorded of %d that reached the client", ask, len(got), len(p.partly[ask]))
			}
		}
		if strings.HasSuffix(ask, "1000}") && len(p.partly[ask]) > 4000 && end == nil {
			t.Errorf("%s: nothing is recorded of an answer that was under way for a second", ask)
		}
	}
	t.Logf("%d asked, %d answered, %d opens, %d ends, %d of them by the next process", len(p.asked), len(p.answered), len(opens), len(ends), unknown)
	if len(p.answered) < 20 || unknown < proxyKills/2 { // a loaded machine may kill before a stream is a second old
		t.Error("the load was too small to show anything")
	}
}
