// Package e2e runs the real binary between real peers: an unmodified LiteLLM
// in front, a real S3 server that fails behind.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
)

// What is run: calls spread over the time in which S3 fails, and a little longer.
const (
	callSeconds  = 34
	faultSeconds = 32
	grace        = 5 // seconds that LiteLLM gets at the end, as a deploy would give it
	asyncOK      = 300
	asyncFail    = 60
	syncOK       = 150
)

// faults are S3's: more than half of the PUTs go wrong.
func faults() []faultproxy.Rule {
	return []faultproxy.Rule{
		{Fault: faultproxy.SlowDown, Percent: 20},
		{Fault: faultproxy.Internal, Percent: 15},
		{Fault: faultproxy.StoredThen500, Percent: 6},
		{Fault: faultproxy.StoredThenReset, Percent: 6},
		{Fault: faultproxy.ResetMidBody, Percent: 3},
		{Fault: faultproxy.RequestTimeout, Percent: 3},
		{Fault: faultproxy.NoAnswer, Percent: 2},
		{Fault: faultproxy.StoredThenNoAnswer, Percent: 2},
		{Fault: faultproxy.HTML503, Percent: 2},
	}
}

// key is what LiteLLM's keys look like.
var key = regexp.MustCompile(`^audit/Team (async|sync)/\d{4}-\d\d-\d\d/time-\d\d-\d\d-\d\d-\d{6}_[A-Za-z0-9._-]+\.json$`)

// TestEndToEnd has LiteLLM log through serve into an S3 server that fails, while
// serve is killed with -9 twice, and counts: what was acked is what was delivered. Beside it the same LiteLLM
// writes to the same failing server itself.
func TestEndToEnd(t *testing.T) {
	if os.Getenv("INDELIBLE_E2E") == "" {
		t.Skip("takes two minutes: set INDELIBLE_E2E=1, or run test/all")
	}
	python := testserver.Python(t, "testdata/requirements-litellm.txt")
	ours := through(t, python)
	bare := direct(t, python)

	t.Logf("\n%-28s %9s %9s %9s %9s\n%s%s", "S3 failing, LiteLLM writes", "answered", "recorded", "lost", "twice", ours, bare)
	// LiteLLM's synchronous sender gives a record up after three attempts, two seconds or so: how long serve takes
	// to start again is the machine's matter, and what was never acked is not ours to keep. What its memory holds when it ends was
	// never sent, or sent and not acked.
	if lost := ours.lost(); lost < ours.gaveUp || lost > ours.gaveUp+ours.left {
		t.Errorf("%d answered calls have no record through Indelible, and LiteLLM gave up %d and ended with %d in its memory", lost, ours.gaveUp, ours.left)
	}
}

// result is what became of the calls of one run.
type result struct {
	name               string
	answered, recorded int
	twice              int
	gaveUp             int // records that were sent and neither acked nor kept, until LiteLLM gave them up
	left               int // records in LiteLLM's memory when it ended
}

func (r result) lost() int { return r.answered - r.recorded }

func (r result) String() string {
	return fmt.Sprintf("%-28s %9d %9d %9d %9d\n", r.name, r.answered, r.recorded, r.lost(), r.twice)
}

func through(t *testing.T, python string) result {
	binary := build(t)
	s3 := testserver.Versitygw(t)
	server, proxy := failing(t, s3)
	d := &serve{t: t, binary: binary, dir: t.TempDir(), s3: s3, endpoint: "http://" + server.Addr, door: freeAddr(t)}
	d.start()
	tap := newTap(t, d.door)

	loads := startLoads(t, python, tap.URL, "indelible", "AKIDLITELLM", "sender's secret")
	tap.waitFirst(t) // Python takes its time to start
	for range 2 {
		time.Sleep(callSeconds * time.Second / 3) // in the middle of the load
		d.kill()
		d.start()
	}
	answered, left := loads.wait()
	d.waitDelivered()
	d.stop()

	got := objects(t, filepath.Join(s3.Root, s3.Bucket))
	acked := tap.acked()
	if shown := proxy.Injected(); shown[faultproxy.SlowDown] == 0 || shown[faultproxy.StoredThen500] == 0 {
		t.Errorf("S3 did not fail: %v", shown)
	}
	compare(t, acked, got)
	for name := range got {
		if !key.MatchString(name) {
			t.Errorf("no key of LiteLLM's: %s", name)
		}
	}
	checkWarnings(t, d.log())
	gaveUp := 0
	for key, answers := range tap.unacked() {
		if _, ok := got[key]; !ok {
			gaveUp++
		}
		t.Logf("sent and never acked, its sender gave it up: %s, answers %v (0: the connection broke)", key, answers)
	}
	t.Logf("acked %d, delivered %d; faults shown: %v", len(acked), len(got), proxy.Injected())
	return result{name: "through Indelible, 2 kill -9", answered: answered, recorded: len(got), gaveUp: gaveUp, left: left}
}

func direct(t *testing.T, python string) result {
	s3 := testserver.Versitygw(t)
	server, _ := failing(t, s3)
	answered, left := startLoads(t, python, "http://"+server.Addr, s3.Bucket, s3.Access, s3.Secret).wait()
	return result{name: "by itself", answered: answered, left: left, recorded: len(objects(t, filepath.Join(s3.Root, s3.Bucket)))}
}

// compare is the oracle: everything acked is there with its bytes, once, and nothing else is.
func compare(t *testing.T, acked, got map[string]string) {
	t.Helper()
	for name, sum := range acked {
		switch have, ok := got[name]; {
		case !ok:
			t.Errorf("acked and not delivered: %s", name)
		case have != sum:
			t.Errorf("acked with SHA-256 %s and delivered with %s: %s", sum, have, name)
		}
	}
	for name := range got {
		if _, ok := acked[name]; !ok {
			t.Errorf("delivered and never acked: %s", name)
		}
	}
}

// checkWarnings looks for the retries that operators must be able to see.
func checkWarnings(t *testing.T, log string) {
	t.Helper()
	named := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"WARN"`) && strings.Contains(line, `"key"`) && strings.Contains(line, `"attempt"`) && strings.Contains(line, `"wait"`) {
			named++
		}
	}
	if named == 0 {
		t.Error("no warning names the key, the attempt and the wait of a retry")
	}
}

// loads are LiteLLM processes at work.
type loads struct {
	t    *testing.T
	cmds []*exec.Cmd
	outs []*bytes.Buffer
}

func startLoads(t *testing.T, python, endpoint, bucket, access, secret string) *loads {
	t.Helper()
	l := &loads{t: t}
	for _, load := range []struct {
		mode     string
		ok, fail int
	}{{"async", asyncOK, asyncFail}, {"sync", syncOK, 0}} {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), python, "testdata/litellm_load.py", load.mode, endpoint, bucket,
			fmt.Sprint(load.ok), fmt.Sprint(load.fail), fmt.Sprint(callSeconds), fmt.Sprint(grace))
		cmd.Env = append(os.Environ(), "S3_KEY="+access, "S3_SECRET="+secret)
		cmd.Stdout = &out
		stderr, err := os.Create(filepath.Join(t.ArtifactDir(), "litellm-"+load.mode+".log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stderr.Close() })
		l.cmds, l.outs = append(l.cmds, cmd), append(l.outs, &out)
	}
	return l
}

// wait waits for the processes, and says how many calls were answered and how many records were left in memory.
func (l *loads) wait() (answered, left int) {
	l.t.Helper()
	for i, cmd := range l.cmds {
		if err := cmd.Wait(); err != nil {
			l.t.Fatalf("LiteLLM: %v", err)
		}
		var said struct {
			Mode           string
			Answered, Left int
		}
		if err := json.Unmarshal(l.outs[i].Bytes(), &said); err != nil {
			l.t.Fatalf("LiteLLM said %q: %v", l.outs[i], err)
		}
		l.t.Logf("LiteLLM %s: %d calls answered, %d records left in its memory", said.Mode, said.Answered, said.Left)
		answered, left = answered+said.Answered, left+max(said.Left, 0)
	}
	return answered, left
}

// serve is the real binary at work.
type serve struct {
	t        *testing.T
	binary   string
	dir      string
	s3       *testserver.Server
	endpoint string // of the destination
	door     string
	open     bool // signatures are not checked
	cmd      *exec.Cmd
}

func (d *serve) start() {
	d.t.Helper()
	config := filepath.Join(d.dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("upload:\n  attempt_timeout: 3s\n"), 0o600); err != nil {
		d.t.Fatal(err)
	}
	stderr, err := os.OpenFile(filepath.Join(d.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	d.cmd = exec.Command(d.binary, "serve", "--config", config, "--s3", d.door, "--http", "off", "--proxy", "off", "--admin", "127.0.0.1:0", "--log-format", "json")
	d.cmd.Env = d.env()
	d.cmd.Stderr = stderr
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", d.door)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("serve does not open its door: %v\n%s", err, d.log())
		}
	}
}

func (d *serve) env() []string {
	env := append(os.Environ(), "INDELIBLE_DATA="+filepath.Join(d.dir, "data"), "INDELIBLE_TO=s3://"+d.s3.Bucket, "AWS_ENDPOINT_URL_S3="+d.endpoint,
		"AWS_REGION="+d.s3.Region, "AWS_ACCESS_KEY_ID="+d.s3.Access, "AWS_SECRET_ACCESS_KEY="+d.s3.Secret)
	if !d.open {
		env = append(env, "INDELIBLE_S3_KEYS=AKIDLITELLM:sender's secret")
	}
	return env
}

func (d *serve) kill() {
	d.t.Helper()
	if err := d.cmd.Process.Kill(); err != nil {
		d.t.Fatal(err)
	}
	_ = d.cmd.Wait() // it was killed
}

func (d *serve) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("serve does not stop well: %v\n%s", err, d.log())
	}
}

func (d *serve) log() string {
	b, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(b)
}

// waitDelivered waits until nothing is pending.
func (d *serve) waitDelivered() {
	d.t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		s := d.status()
		if s.Pending == 0 && s.Acked > 0 {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("still pending: %+v\n%s", s, d.log())
		}
	}
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "indelible")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "indelible/cmd/indelible")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// failing is the S3 server behind a proxy that fails for faultSeconds from the first PUT on.
func failing(t *testing.T, s3 *testserver.Server) (*faultproxy.Server, *faultproxy.Proxy) {
	t.Helper()
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.New(target, 7, faults()...)
	server, err := faultproxy.Listen("127.0.0.1:0", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	go func() {
		for proxy.Requests()["PUT"] == 0 {
			select {
			case <-t.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
		select {
		case <-t.Context().Done():
		case <-time.After(faultSeconds * time.Second):
			proxy.Set() // it is well again
		}
	}()
	return server, proxy
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
