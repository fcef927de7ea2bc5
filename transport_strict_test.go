package indelible_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible"
	"indelible/internal/capture"
)

// envTransport has TestTransportProcess be a program that makes calls: it is "<directory of the log> <URL of the provider>".
const envTransport = "INDELIBLE_TEST_TRANSPORT"

// TestTransportProcess is no test: it is the process that TestTransportIsStrict kills. It says on its output what it has a whole answer of.
func TestTransportProcess(t *testing.T) {
	dir, provider, ok := strings.Cut(os.Getenv(envTransport), " ")
	if !ok {
		t.Skip("runs as a process of TestTransportIsStrict")
	}
	log, err := indelible.Open(t.Context(), indelible.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: log.Transport(nil)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, kind := range []string{"short", "long", "chunks", "stream"} {
		for range 2 {
			wg.Go(func() {
				for n := 0; ; n++ {
					ask := fmt.Sprintf("%s-%p-%d-%d", kind, &n, os.Getpid(), n)
					resp, err := client.Post(provider+"/"+kind, "text/plain", strings.NewReader(ask))
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, resp.Body); err != nil {
						return
					}
					mu.Lock()
					fmt.Printf("answered %s\n", ask)
					mu.Unlock()
					_ = resp.Body.Close()
				}
			})
		}
	}
	wg.Wait()
}

// TestTransportIsStrict kills a program at any moment while it makes calls through a Transport: whatever reached the provider has an open record,
// and each answer of which the program saw the end has a close record with all of it.
func TestTransportIsStrict(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		asked[string(b)] = true
		mu.Unlock()
		text := "answer to " + string(b)
		switch r.URL.Path {
		case "/short":
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		case "/long":
			text += strings.Repeat(".", 100_000)
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		case "/stream":
			for range 20 {
				_, _ = io.WriteString(w, "data: {}\n\n") // the client may have been killed
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond)
			}
			text = "data: [DONE]\n\n"
		}
		_, _ = io.WriteString(w, text)
	}))
	defer provider.Close()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	answered := map[string]bool{}
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestTransportProcess$")
		cmd.Env = append(os.Environ(), envTransport+"="+dir+" "+provider.URL)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if ask, ok := strings.CutPrefix(lines.Text(), "answered "); ok {
				answered[ask] = true
				if n++; n == 30+17*round {
					_ = cmd.Process.Kill() // with what it answered last not yet read by anybody
				}
			}
		}
		_ = cmd.Wait() // it was killed
	}
	log, err := indelible.Open(t.Context(), indelible.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = log.Run(context.Background()) }() // Close ends it
	last, err := log.Append(t.Context(), indelible.Record{ID: "last", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Wait(t.Context(), last), log.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
	opens, ends := map[string]string{}, map[string]*capture.Exchange{} // id by request, end by id
	err = filepath.WalkDir(filepath.Join(dir, "store", "lib"), func(name string, d fs.DirEntry, err error) error {
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
		} else {
			ends[e.ID] = e
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for ask := range asked {
		if opens[ask] == "" {
			t.Errorf("the provider was asked %s without an open record", ask)
		}
	}
	for ask := range answered {
		end := ends[opens[ask]]
		if end == nil || end.Transport != capture.Complete || !strings.HasPrefix(ask, "stream") && !strings.HasPrefix(string(end.Response.Body.Bytes), "answer to "+ask) || strings.HasPrefix(ask, "stream") && !strings.HasSuffix(string(end.Response.Body.Bytes), "[DONE]\n\n") {
			t.Errorf("%s was answered, and its close record is %+v", ask, end)
		}
	}
	t.Logf("%d asked, %d answered, %d opens, %d ends", len(asked), len(answered), len(opens), len(ends))
	if len(answered) < 100 || len(asked) == len(answered) {
		t.Error("nothing was under way when the processes were killed")
	}
}
