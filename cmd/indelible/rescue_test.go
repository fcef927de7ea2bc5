package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shell runs a command line as a person types it, in an empty directory and
// without any setting in the environment, and returns its exit status and what it said.
func shell(t *testing.T, line string) (status int, stdout, stderr string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "indelible")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + bin + ":/bin:/usr/bin", asMain + "=1"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String(), errs.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String(), errs.String()
}

// printed is the one command that a refusal names.
func printed(t *testing.T, stderr string) string {
	t.Helper()
	found := regexp.MustCompile(`"(indelible rescue [^"]*)"`).FindAllStringSubmatch(stderr, -1)
	if len(found) != 1 {
		t.Fatalf("no one command in %q", stderr)
	}
	return found[0][1]
}

func putRecord(t *testing.T, addr, key, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, "http://"+addr+"/audit/"+key, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("put %s: %s, %v", key, resp.Status, err)
	}
}

// A refusal of serve names a command that, typed as it is printed, brings every
// acknowledged record into the bucket once; serve then starts, and all logs verify.
func TestTheWayOut(t *testing.T) {
	accidents := map[string]struct {
		away  string // when, before or after the accident, more was acknowledged while the store was away
		wreck func(t *testing.T, data, backup string)
	}{
		"old copy": {wreck: func(t *testing.T, data, backup string) {
			putBack(t, data, backup)
		}},
		"old copy, the store away": {away: "after", wreck: func(t *testing.T, data, backup string) {
			putBack(t, data, backup)
		}},
		"key lost": {away: "before", wreck: func(t *testing.T, data, _ string) {
			remove(t, data, "log.key")
		}},
		"key and name lost": {away: "before", wreck: func(t *testing.T, data, _ string) {
			remove(t, data, "log.key", "log.vkey", "log.name", "proof")
		}},
		"name of another log": {away: "before", wreck: func(t *testing.T, data, _ string) {
			remove(t, data, "log.key", "log.vkey", "proof")
			if err := os.WriteFile(filepath.Join(data, "log.name"), []byte("another\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, a := range accidents {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			top := t.TempDir()
			data, backup, bucket := filepath.Join(top, "it's data"), filepath.Join(top, "backup"), filepath.Join(top, "bucket")
			begin := func() *process { return startServe(t, data, nil, "--to", "file://"+bucket) }
			want := map[string]string{}
			send := func(p *process, prefix string, n int) {
				for i := range n {
					key := fmt.Sprintf("%s/%d.json", prefix, i)
					want[key] = "body of " + key
					putRecord(t, p.at.S3, key, want[key])
				}
			}
			p := begin()
			send(p, "first", 5)
			p.stop(t)
			copyTree(t, data, backup)
			p = begin()
			send(p, "second", 5)
			p.stop(t)
			storeAway := func() {
				nobody := []string{"env", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y"}
				p = startServe(t, data, nobody, "--to", "s3://bucket")
				send(p, "third", 5)
				p.kill(t)
			}
			if a.away == "before" {
				storeAway()
			}
			a.wreck(t, data, backup)
			if a.away == "after" {
				storeAway()
			}
			line := ""
			for range 2 { // as a supervisor would
				status, _, stderr := shell(t, "indelible serve --s3 127.0.0.1:0 --http off --proxy off --admin off --data "+quote(data)+" --to "+quote("file://"+bucket))
				if status != exitWrong {
					t.Fatalf("serve: status %d: %s", status, stderr)
				}
				line = printed(t, stderr)
			}
			if _, out, _ := shell(t, "indelible status --data "+quote(data)+" --to "+quote("file://"+bucket)); strings.HasPrefix(name, "old copy") && !strings.Contains(out, "The log cannot go on: ") {
				t.Errorf("status: %s", out)
			}
			status, stdout, stderr := shell(t, line)
			if status != exitOK {
				t.Fatalf("%s: status %d: %s", line, status, stderr)
			}
			for key, body := range want {
				if got, err := os.ReadFile(filepath.Join(bucket, key)); err != nil || string(got) != body {
					t.Errorf("%s: %q, %v", key, got, err)
				}
			}
			if n := objects(t, bucket); n != len(want) {
				t.Errorf("%d objects of %d records", n, len(want))
			}
			for _, match := range regexp.MustCompile(`public key  (.*)`).FindAllStringSubmatch(stdout, -1) {
				if status, out, stderr := shell(t, "indelible verify --vkey "+quote(match[1])+" "+quote("file://"+bucket)); status != exitOK {
					t.Errorf("verify: status %d: %s%s", status, out, stderr)
				}
			}
			p = begin()
			send(p, "last", 1)
			p.stop(t)
			if status, out, stderr := shell(t, "indelible verify --data "+quote(data)+" --to "+quote("file://"+bucket)); status != exitOK {
				t.Errorf("verify of the log after: status %d: %s%s", status, out, stderr)
			}
		})
	}
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func putBack(t *testing.T, data, backup string) {
	t.Helper()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	copyTree(t, backup, data)
}

func remove(t *testing.T, data string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// objects counts what lies in a bucket besides logs and the store's own files.
func objects(t *testing.T, bucket string) (n int) {
	t.Helper()
	err := filepath.WalkDir(bucket, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "_indelible" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
