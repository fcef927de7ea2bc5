package process

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const endsOfStreamLife = 20 // until a data directory is delivered, counted and begun again

// TestTortureStreams ends the daemon by SIGKILL at random while calls stream through its proxy. Strict means: no request
// reached the provider without an open record, and nobody has a whole answer without a close record that holds it.
func TestTortureStreams(t *testing.T) {
	torture.NeedsShare(t)
	streams(t, torture.Share(0, 6, 140), torture.Report(t, "recording proxy, kill -9 in mid-stream", "kills"), "")
}

// TestTortureStreamsPower is the same with power cuts, on a file system that forgets what was not synced.
func TestTortureStreamsPower(t *testing.T) {
	torture.NeedsShare(t)
	streams(t, torture.Share(0, 3, 120), torture.Report(t, "recording proxy, power cut in mid-stream", "cuts"), buildForgetfs(t))
}

// TestTortureStreamsNotice has a disk that syncs nothing, so that the count has to find calls without records.
func TestTortureStreamsNotice(t *testing.T) {
	torture.NeedsShare(t)
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	for seed := range uint64(10) {
		l := newStreamLife(t, binary, seed)
		row := &torture.Row{}
		err := l.live(t, forgetfs, 1, row, "-lie")
		if l.wrong() > 0 {
			return
		}
		t.Logf("seed %d: %v", seed, err) // what is left may be too odd to start on
	}
	t.Error("ten disks that sync nothing have gone unnoticed")
}

func streams(t *testing.T, ends int, row *torture.Row, forgetfs string) {
	binary := driver.Build(t)
	answered, asked, unknown := 0, 0, 0
	for _, seed := range torture.Seeds(max(1, (ends+endsOfStreamLife-1)/endsOfStreamLife)) {
		l := newStreamLife(t, binary, seed)
		if err := l.live(t, forgetfs, min(ends, endsOfStreamLife), row); err != nil {
			t.Errorf("seed %d: %v", seed, err)
			row.FailedAt(seed)
			return
		}
		if n := l.wrong(); n > 0 {
			t.Errorf("seed %d: %s", seed, strings.Join(l.faults[:min(n, 20)], "\n"))
			row.FailedAt(seed)
		}
		row.Count(l.wrong(), 0, 0)
		answered, asked, unknown = answered+len(l.whole), asked+len(l.sent), unknown+l.unknown
	}
	row.Note = fmt.Sprintf("%d requests reached the provider, %d answers came whole, %d records of unknown end", asked, answered, unknown)
	if answered == 0 || asked == answered {
		t.Errorf("nothing was shown: %s", row.Note)
	}
}

// streamLife is one data directory, with clients and a provider of its own.
type streamLife struct {
	dir   string
	rng   *rand.Rand
	seed  uint64
	serve *driver.Serve
	disk  *driver.Forgetful // nil: the machine's

	mu    sync.Mutex
	sent  map[string]string   // answers that the provider meant to give, by the call's name; guarded by mu
	whole map[string][32]byte // digests of those that came whole; guarded by mu

	faults  []string
	unknown int
}

func newStreamLife(t *testing.T, binary string, seed uint64) *streamLife {
	dir := t.TempDir()
	return &streamLife{
		dir: dir, rng: rand.New(rand.NewPCG(seed, 5)), seed: seed, sent: map[string]string{}, whole: map[string][32]byte{},
		serve: &driver.Serve{Binary: binary, Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), Config: filepath.Join(dir, "indelible.yaml"), Args: []string{"--proxy", "127.0.0.1:0"}},
	}
}

// wrong is how many promises were found broken.
func (l *streamLife) wrong() int { return len(l.faults) }

func (l *streamLife) live(t *testing.T, forgetfs string, ends int, row *torture.Row, flags ...string) error {
	if forgetfs != "" {
		l.disk = mount(t, forgetfs, filepath.Join(l.dir, "disk"), flags...)
		defer l.disk.Close()
		l.serve.Data = filepath.Join(l.disk.Dir, "data")
	}
	provider := httptest.NewServer(http.HandlerFunc(l.answer))
	defer provider.Close()
	config := fmt.Sprintf("doors:\n  proxy:\n    upstreams:\n      up: %q\nproof:\n  checkpoint_every: 1s\nshutdown:\n  drain: 10s\n", provider.URL)
	if err := os.WriteFile(l.serve.Config, []byte(config), 0o600); err != nil {
		return err
	}
	defer l.serve.Kill()
	for n := range ends {
		if err := l.cycle(t.Context(), n); err != nil {
			return fmt.Errorf("end %d: %w", n, err)
		}
	}
	row.Ran(ends, len(l.whole))
	if err := l.serve.Start(); err != nil {
		return err
	}
	if err := l.serve.Stop(); err != nil {
		return err
	}
	return l.count(filepath.Join(l.serve.Data, "store", "proxy"))
}

// cycle is one start, and its end in mid-stream.
func (l *streamLife) cycle(ctx context.Context, n int) error {
	if err := l.serve.Start(); err != nil {
		return err
	}
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for client := range killClients {
		rng := rand.New(rand.NewPCG(l.seed, uint64(n*killClients+client)+2))
		wg.Go(func() {
			for call := 0; loading.Err() == nil; call++ {
				l.ask(loading, fmt.Sprintf("call-%d-%d-%d", n, client, call), rng)
			}
		})
	}
	time.Sleep(time.Duration(50+l.rng.IntN(1500)) * time.Millisecond) // after a second, answers are in files
	var err error
	if l.disk == nil {
		l.serve.Kill()
	} else {
		err = (&powerLife{life: life{serve: l.serve, rng: l.rng}, disk: l.disk}).cut()
	}
	stop()
	wg.Wait()
	return err
}

// ask makes one call, and notes an answer that came whole.
func (l *streamLife) ask(ctx context.Context, name string, rng *rand.Rand) {
	body := fmt.Sprintf(`{"model":"m","call":%q,"events":%d,"pause_ms":%d,"stream":%v}`, name, 1+rng.IntN(60), []int{0, 2, 40}[rng.IntN(3)], rng.IntN(4) > 0)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.serve.At.Proxy+"/up/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		panic(err) // the URL is ours
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		time.Sleep(5 * time.Millisecond) // it is gone
		return
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.whole[name] = sha256.Sum256(got)
}

// answer is the provider's: what it is asked says how long it takes.
func (l *streamLife) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var asked struct {
		call          string
		events, pause int
		stream        bool
	}
	if _, err := fmt.Sscanf(string(body), `{"model":"m","call":%q,"events":%d,"pause_ms":%d,"stream":%t}`, &asked.call, &asked.events, &asked.pause, &asked.stream); err != nil {
		panic(err) // the bytes that came are not those that were sent
	}
	event := func(n int) string {
		return fmt.Sprintf("data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":\"%s %d %s\"}}]}\n\n", asked.call, n, strings.Repeat("word ", n*7%400))
	}
	var whole strings.Builder
	for n := range asked.events {
		whole.WriteString(event(n))
	}
	l.mu.Lock()
	l.sent[asked.call] = whole.String()
	l.mu.Unlock()
	if !asked.stream {
		_, _ = io.WriteString(w, whole.String()) // the proxy may be gone
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for n := range asked.events {
		if _, err := io.WriteString(w, event(n)); err != nil || r.Context().Err() != nil {
			return
		}
		_ = http.NewResponseController(w).Flush() // likewise
		time.Sleep(time.Duration(asked.pause) * time.Millisecond)
	}
}

// count compares the records in the bucket with what provider and clients know.
func (l *streamLife) count(root string) error {
	open, ends := map[string]string{}, map[string][]*capture.Exchange{} // names of calls by call id; ends by it
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		e, _, err := capture.Parse(b)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if e.Kind == capture.Open {
			_, rest, _ := bytes.Cut(e.Request.Body.Bytes, []byte(`"call":"`))
			call, _, _ := bytes.Cut(rest, []byte(`"`))
			open[e.ID] = string(call)
			return nil
		}
		ends[e.ID] = append(ends[e.ID], e)
		return nil
	})
	if err != nil {
		return err
	}
	fault := func(format string, args ...any) { l.faults = append(l.faults, fmt.Sprintf(format, args...)) }
	opened := map[string]bool{}
	for id, call := range open {
		opened[call] = true
		complete := 0
		for _, e := range ends[id] {
			got := string(e.Response.Body.Bytes)
			if e.Transport == capture.Complete {
				complete++
				if sum, ok := l.whole[call]; ok && sum == sha256.Sum256([]byte(got)) {
					delete(l.whole, call)
					l.whole[call+" recorded"] = sum
				}
			} else if e.Transport == capture.Unknown {
				l.unknown++
			}
			if !strings.HasPrefix(l.sent[call], got) {
				fault("%s: the record (%s) holds what the provider did not send: %.200q", call, e.Transport, got)
			}
		}
		if complete > 1 {
			fault("%s: %d complete records", call, complete)
		}
	}
	for id := range ends {
		if open[id] == "" {
			fault("%s: an end without a beginning", id)
		}
	}
	for _, call := range slices.Sorted(maps.Keys(l.sent)) {
		if !opened[call] {
			fault("%s reached the provider, and has no open record", call)
		}
	}
	for _, call := range slices.Sorted(maps.Keys(l.whole)) {
		if !strings.HasSuffix(call, " recorded") {
			fault("%s: the client has a whole answer, and no close record holds it", call)
		}
	}
	return nil
}
