package litellm

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// python runs testdata/spool.py with the callback, a server and a spool file.
func python(t *testing.T, h http.HandlerFunc, spool string, args ...string) *exec.Cmd {
	t.Helper()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	stubs, err := filepath.Abs("testdata/stubs")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	cmd := exec.CommandContext(t.Context(), name, append([]string{"testdata/spool.py"}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+stubs+":"+here, "PYTHONDONTWRITEBYTECODE=1", "INDELIBLE_URL="+s.URL, "INDELIBLE_SPOOL="+spool)
	cmd.Stderr = os.Stderr
	return cmd
}

func receipt(body []byte) string {
	sum := sha256.Sum256(body)
	return "web1/1/" + hex.EncodeToString(sum[:])
}

// Only an answer with the record's own receipt is an acknowledgement.
func TestOnlyAReceiptIsAnAck(t *testing.T) {
	for name, c := range map[string]struct {
		receipt string
		acked   bool
	}{
		"ours":              {receipt([]byte(`{"id":"a"}`)), true},
		"of another server": {"", false},
		"of another record": {receipt([]byte(`{"id":"b"}`)), false},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := python(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if c.receipt != "" {
					w.Header().Set("X-Indelible-Receipt", c.receipt)
				}
				_, _ = io.WriteString(w, "{}")
			}, filepath.Join(t.TempDir(), "spool"), "post")
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(string(out)); (got == c.receipt) != c.acked || !c.acked && !strings.Contains(got, "OSError") {
				t.Error(got)
			}
		})
	}
}

// door takes records and remembers their order; the first one waits.
type door struct {
	mu   sync.Mutex
	got  []string
	wait chan struct{} // nil: nobody waits
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if d.wait != nil {
		<-d.wait
	}
	d.mu.Lock()
	d.got = append(d.got, string(body))
	d.mu.Unlock()
	w.Header().Set("X-Indelible-Receipt", receipt(body))
	_, _ = io.WriteString(w, "{}")
}

// Whoever appends to the callback's spool does not wait for what is being sent from it.
func TestSpoolTakesWhileItSends(t *testing.T) {
	d := &door{wait: make(chan struct{})}
	cmd := python(t, d.ServeHTTP, filepath.Join(t.TempDir(), "spool"), "append")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "appended" {
		t.Errorf("%q", lines.Text())
	}
	close(d.wait)
	_, _ = fmt.Fprintln(in)
	if !lines.Scan() || lines.Text() != "empty" {
		t.Errorf("%q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if want := []string{`{"id":"first"}`, `{"id":"second"}`}; !slices.Equal(d.got, want) {
		t.Errorf("%q", d.got)
	}
}

// What a process that was killed was sending is sent by the next one, before what came later.
func TestSpoolAfterAKill(t *testing.T) {
	d, spool := new(door), filepath.Join(t.TempDir(), "spool")
	for name, line := range map[string]string{spool + ".sending": `{"id":"first"}`, spool: `{"id":"second"}`} {
		if err := os.WriteFile(name, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := python(t, d.ServeHTTP, spool, "restart").Output()
	if err != nil || strings.TrimSpace(string(out)) != "empty" {
		t.Fatalf("%q %v", out, err)
	}
	if want := []string{`{"id":"first"}`, `{"id":"second"}`}; !slices.Equal(d.got, want) {
		t.Errorf("%q", d.got)
	}
}
