package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// TestDocs (Linux: process groups) runs the blocks of each page in a fresh clone, with a fresh binary, in order.
// Pages use the default ports: test/steps docs gives it a network of its own.
func TestDocs(t *testing.T) {
	if os.Getenv("INDELIBLE_DOCS") == "" {
		t.Skip("minutes, and the default ports; INDELIBLE_DOCS=1 runs it, test/steps docs with a network of its own")
	}
	for _, port := range []string{"9000", "4318", "4100", "9001"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("port %s is taken: run test/steps docs", port)
		}
		_ = l.Close()
	}
	clone := filepath.Join(t.TempDir(), "indelible")
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"git", "clone", "-q", root, clone},
		{"go", "build", "-C", clone, "-o", filepath.Join(filepath.Dir(clone), "bin", "indelible"), "./cmd/indelible"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	s3 := testserver.Versitygw(t)
	if err := os.Mkdir(filepath.Join(s3.Root, "my-audit-bucket"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(),
		"PATH="+filepath.Join(filepath.Dir(clone), "bin")+":"+os.Getenv("PATH"),
		"AWS_ENDPOINT_URL_S3="+s3.Endpoint, "AWS_ACCESS_KEY_ID="+s3.Access, "AWS_SECRET_ACCESS_KEY="+s3.Secret, "AWS_REGION=us-east-1",
		"INDELIBLE_CONFIG=", "GOFLAGS=")
	for name, all := range pages(t) {
		if !slices.ContainsFunc(all, func(b block) bool { return b.run }) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := &visitor{t: t, dir: clone, env: env}
			if name != "README.md" { // which runs in the clone; beside it lies what the others make
				v.dir = t.TempDir()
				if err := os.Symlink(clone, filepath.Join(v.dir, "indelible")); err != nil {
					t.Fatal(err)
				}
			}
			v.prepare(name)
			defer v.leave()
			for _, b := range all {
				if b.run {
					v.follow(b)
				}
			}
		})
	}
}

// A visitor is somebody who reads one page and does what it says.
type visitor struct {
	t    *testing.T
	dir  string
	env  []string
	serv *exec.Cmd // the daemon that the page has started
}

// prepare lays out what a page takes for granted: files of the reader's own, and on the
// pages about a running daemon that daemon and some records.
func (v *visitor) prepare(page string) {
	v.t.Helper()
	call := func(id, team, status string) string {
		return fmt.Sprintf(`{"id":%q,"startTime":%d,"model":"gpt-5","status":%q,"metadata":{"user_api_key_team_alias":%q},"messages":"about the refund policy"}`+"\n", id, time.Now().Unix(), status, team)
	}
	switch page {
	case "README.md":
		python := testserver.Python(v.t, filepath.Join(v.dir, "internal", "ingest", "s3api", "testdata", "requirements-clients.txt"))
		v.env = append(v.env, "PATH="+filepath.Join(filepath.Dir(v.dir), "bin")+":"+filepath.Dir(python)+":"+os.Getenv("PATH")) // for aws
		v.write("record.json", call("chatcmpl-1", "alpha", "failure"))
		v.write("records.ndjson", call("chatcmpl-2", "beta", "success")+call("chatcmpl-3", "alpha", "failure"))
		v.write("spendlogs.csv", "request_id\nchatcmpl-1\nchatcmpl-2\nchatcmpl-3\n")
	case "docs/json-door.md":
		v.serve("indelible serve")
	case "docs/search.md":
		v.write("calls.ndjson", call("call-1", "alpha", "failure")+call("call-2", "alpha", "success"))
		v.serve("indelible serve")
		v.bash("curl -fsS --data-binary @calls.ndjson http://127.0.0.1:4318/v1/records")
	}
}

func (v *visitor) write(name, text string) {
	v.t.Helper()
	if err := os.WriteFile(filepath.Join(v.dir, name), []byte(text), 0o600); err != nil {
		v.t.Fatal(err)
	}
}

var (
	serveLine = regexp.MustCompile(`^(go run \./cmd/indelible|indelible) serve\b`)
	tailLine  = regexp.MustCompile(`^indelible tail -f\b`)
)

// follow does what one block says: as one script, or line by line where one of them does
// not end by itself. A block that starts several daemons offers them for choice.
func (v *visitor) follow(b block) {
	v.t.Helper()
	v.t.Logf("%s:%d\n%s", b.page, b.line, b.text)
	v.settle()
	if !regexp.MustCompile(`(?m)` + serveLine.String() + `|` + tailLine.String()).MatchString(b.text) {
		out := v.bash(b.text)
		if b.answer != "" {
			sameKeys(v.t, b, out, b.answer)
		}
		return
	}
	for line := range strings.Lines(b.text) {
		switch line = strings.TrimSpace(line); {
		case serveLine.MatchString(line):
			v.leave()
			if err := os.RemoveAll(filepath.Join(v.dir, "indelible-data")); err != nil {
				v.t.Fatal(err)
			}
			v.serve(line)
		case tailLine.MatchString(line):
			v.bash("timeout --preserve-status --signal=INT 3 " + line)
		default:
			v.bash(line)
		}
	}
}

// bash runs a piece of a page, which has to succeed.
func (v *visitor) bash(script string) string {
	v.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = v.dir, v.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		v.t.Errorf("%v\n%s%s", err, out.String(), errs.String())
	}
	return out.String()
}

// serve starts a daemon and waits until its doors take records.
func (v *visitor) serve(line string) {
	v.t.Helper()
	cmd := exec.Command("bash", "-c", "exec "+line)
	cmd.Dir, cmd.Env = v.dir, v.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run has a child
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.serv = cmd
	for end := time.Now().Add(5 * time.Minute); !ready(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			v.t.Fatalf("%s: not ready\n%s", line, errs.String())
		}
	}
	b, err := os.ReadFile(filepath.Join(v.dir, "indelible-data", "log.vkey"))
	if err != nil {
		v.t.Fatal(err)
	}
	v.write("log.vkey", string(b)) // as an auditor has it, in a place of their own
}

func ready() bool {
	resp, err := http.Get("http://127.0.0.1:9001/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// settle waits until what was sent is proven: a reader is not as fast as this.
func (v *visitor) settle() {
	v.t.Helper()
	if v.serv == nil {
		return
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var s struct{ Acked, Proven int }
		cmd := exec.Command("bash", "-c", "indelible status --json")
		cmd.Dir, cmd.Env = v.dir, v.env
		out, err := cmd.Output()
		if err == nil && json.Unmarshal(out, &s) == nil && s.Proven >= s.Acked {
			return
		}
		if time.Now().After(end) {
			v.t.Fatalf("not proven within three minutes: %v\n%s", err, out)
		}
	}
}

// leave ends the daemon that the page has started.
func (v *visitor) leave() {
	if v.serv == nil {
		return
	}
	_ = syscall.Kill(-v.serv.Process.Pid, syscall.SIGTERM)
	_ = v.serv.Wait()
	v.serv = nil
	for end := time.Now().Add(time.Minute); ready() && time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond) // go run ends before its child
	}
	time.Sleep(200 * time.Millisecond)
}

// sameKeys: an answer has the fields that the page shows.
func sameKeys(t *testing.T, b block, got, want string) {
	t.Helper()
	keys := func(text string) []string {
		var m map[string]any
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Errorf("%s:%d: %v in %q", b.page, b.line, err, text)
		}
		var all []string
		for k := range m {
			all = append(all, k)
		}
		slices.Sort(all)
		return all
	}
	if g, w := keys(got), keys(want); !slices.Equal(g, w) {
		t.Errorf("%s:%d: the answer has %v, the page shows %v", b.page, b.line, g, w)
	}
}
