package litellm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// TestColdStorage has LiteLLM 1.110.2 read its cold storage through the S3 door: a record that is pending, and then lies in a pack, is what
// it shows of a call whose prompt its database does not have.
func TestColdStorage(t *testing.T) {
	if os.Getenv("INDELIBLE_WIRE") == "" {
		t.Skip("needs LiteLLM 1.110.2: set INDELIBLE_WIRE=1, or run test/steps wire")
	}
	python := testserver.Python(t, "testdata/pins-1.110.2.txt")
	up := httptest.NewServer(http.HandlerFunc(provider))
	t.Cleanup(up.Close)
	h := &house{t: t, dir: t.TempDir(), door: freeAddr(t), doorS3: freeAddr(t), side: freeAddr(t)}
	config := "layout: pack\npack: {max_age: 20s}\n"
	if err := os.WriteFile(filepath.Join(h.dir, "indelible.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h.build()
	h.start()
	ask := func(into any, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/cold.py"}, args...)...)
		cmd.Env = append(os.Environ(), "DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1", "LITELLM_LOCAL_MODEL_COST_MAP=True", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
		out, err := cmd.Output()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err == nil {
			err = json.Unmarshal([]byte(lines[len(lines)-1]), into)
		}
		if err != nil {
			exit, _ := err.(*exec.ExitError)
			if exit != nil {
				t.Logf("%s", exit.Stderr)
			}
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	var call struct{ ID, Key string }
	ask(&call, "write", up.URL+"/v1", "http://"+h.doorS3)
	if call.Key == "" {
		t.Fatal("LiteLLM names no key")
	}
	packs := func() []string {
		names, err := filepath.Glob(filepath.Join(h.dir, "*", "store", "packs", "*", "*", "*.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	read := func(where string) {
		t.Helper()
		var got struct {
			ID       string
			Messages json.RawMessage
			Response json.RawMessage
			Absent   any
		}
		ask(&got, "read", up.URL+"/v1", "http://"+h.doorS3, call.Key)
		t.Logf("%s: %s, %s", where, got.ID, got.Messages)
		if got.ID != call.ID || !strings.Contains(string(got.Messages), "what was asked") || len(got.Response) < 10 || got.Absent != nil {
			t.Errorf("%s: LiteLLM reads %+v for %+v", where, got, call)
		}
	}
	read(fmt.Sprintf("with %d packs", len(packs())))
	for end := time.Now().Add(2 * time.Minute); len(packs()) == 0; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("no pack was stored")
		}
	}
	h.delivered()
	read("packed")
}
