package litellm_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	callback "indelible/integrations/litellm"
	"indelible/internal/testserver"
)

// caller is a running sender.
type caller struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func newSender(t *testing.T, python, url string, env ...string) *caller {
	t.Helper()
	dir := t.TempDir()
	for name, body := range map[string][]byte{"sender.py": []byte(sender), callback.CallbackName: callback.Callback} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "sender.py")
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(append(os.Environ(), "INDELIBLE_URL="+url, "LITELLM_LOCAL_MODEL_COST_MAP=True"), env...), &stderr
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
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the sender ended: %v\n%s", err, stderr.String())
		}
	})
	return &caller{t: t, in: in, out: bufio.NewScanner(out)}
}

// call makes a call with an id, and returns what became of it.
func (c *caller) call(id string) string {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, id); err != nil {
		c.t.Fatal(err)
	}
	if !c.out.Scan() {
		c.t.Fatalf("the sender says no more: %v", c.out.Err())
	}
	said, of, _ := strings.Cut(c.out.Text(), " ")
	if of != id {
		c.t.Fatalf("%q for the call %s", c.out.Text(), id)
	}
	return said
}

func (c *caller) expect(want, id string) {
	c.t.Helper()
	if got := c.call(id); got != want {
		c.t.Errorf("call %s: %s, not %s", id, got, want)
	}
}

// callID is the call that a record is of.
func callID(t *testing.T, body []byte) string {
	t.Helper()
	var record struct {
		Call string `json:"litellm_call_id"`
	}
	if err := json.Unmarshal(body, &record); err != nil {
		t.Errorf("%.100q: %v", body, err)
	}
	return record.Call
}

// objectsRaw are the bodies of all records in the bucket.
func objectsRaw(t *testing.T, s3 *testserver.Server) (bodies [][]byte) {
	t.Helper()
	root := filepath.Join(s3.Root, s3.Bucket)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "_indelible") {
				return fs.SkipDir
			}
			return nil
		}
		body, err := os.ReadFile(name)
		bodies = append(bodies, body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bodies
}
