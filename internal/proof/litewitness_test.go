package proof

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"indelible/internal/record"
	"indelible/internal/testserver"
)

// startLitewitness runs Torchwood's witness, built from its Go module, for a log.
func startLitewitness(t *testing.T, vkey string) Witness {
	t.Helper()
	testserver.NeedsPeers(t)
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "../../test/witness", "-o", bin+"/", ".", "filippo.io/torchwood/cmd/litewitness").CombinedOutput(); err != nil {
		testserver.Missing(t, "litewitness", &os.PathError{Op: "build", Path: string(out), Err: err})
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	dir, err := os.MkdirTemp("", "w") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	cmd := exec.Command(filepath.Join(bin, "witness"), "-litewitness", filepath.Join(bin, "litewitness"), "-dir", dir, "-log", vkey, "-listen", address)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })
	key := regexp.MustCompile(`vkey="?([^ "]+)`)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		t.Log(lines.Text())
		if m := key.FindStringSubmatch(lines.Text()); m != nil {
			go func() { // read on, so that it is never held up
				for lines.Scan() {
				}
			}()
			return Witness{URL: "http://" + address, Key: m[1]}
		}
	}
	t.Fatal("litewitness says no key")
	return Witness{}
}

// A real witness cosigns what the log publishes, from its first checkpoint on,
// and after a restart of the log.
func TestLitewitness(t *testing.T) {
	b := newBench(t)
	b.key, _ = GenerateKey("test-log", MLDSA44) // it knows nothing of the second line
	w := startLitewitness(t, strings.Fields(b.key.Public())[0])
	b.opt.Witnesses, b.opt.WitnessTimeout = []Witness{w}, time.Minute
	b.opt.Events.Failed = func(err error) { t.Error(err) }
	for start := time.Now(); ; {
		conn, err := net.Dial("tcp", w.URL[len("http://"):])
		if err == nil {
			conn.Close()
			break
		}
		if time.Since(start) > time.Minute {
			t.Fatal(err)
		}
	}
	l := b.open()
	b.do(l.Start("p", "c", ""))
	for _, last := range [][2]record.Seq{{1, 2}, {3, 300}, {301, 1000}} {
		b.add(l, last[0], last[1])
		b.do(l.Checkpoint(t.Context()))
		if !b.cosignedBy(w) {
			t.Fatalf("size %d is not cosigned", l.Stats().Size)
		}
	}
	l = b.open()
	b.do(l.Start("p", "c", ""))
	b.do(l.Stop(t.Context()))
	if !b.cosignedBy(w) {
		t.Error("not cosigned after a restart")
	}
	b.leaves()
	for key, ok := range map[string]bool{w.Key: true, newNoteKey("witness.example/w1", typeCosignature, b.key.public.parts[0].key).vkey(): false} {
		p, err := WitnessPolicy([]string{key}, 0)
		b.do(err)
		if r := b.verify(VerifyOptions{Policy: p}); r.OK() != ok || ok && time.Since(r.Witnessed.Time) > time.Hour {
			t.Errorf("%s: %+v, %v", key, r.Witnessed, r.Faults)
		}
	}
}
