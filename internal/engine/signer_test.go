package engine

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/signer"
	"indelible/internal/testserver"
)

// await waits until so many records are proven.
func await(t *testing.T, e *Engine, n record.Seq) {
	t.Helper()
	for end := time.Now().Add(time.Minute); e.Stats().Log.Proven < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d records are proven, not %d", e.Stats().Log.Proven, n)
		}
	}
}

// Records are acknowledged while the program that signs is broken, and proven once it is well; the log changes from
// its file to the program's key, and from that to another.
func TestSignerOutside(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program is a shell script")
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		testserver.Missing(t, "openssl", err)
	}
	keys := t.TempDir()
	newKey := func(name string) {
		t.Helper()
		if out, err := exec.Command("openssl", "genpkey", "-algorithm", "ed25519", "-out", filepath.Join(keys, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	newKey("1.pem")
	b, dir := newBucket(t), t.TempDir()
	o := options(b, dir)
	o.Proof.CheckpointEvery = 20 * time.Millisecond
	e := openEngine(t, o) // with a key of its own
	end := start(t, e)
	add(t, e, "a", 1, 3)
	await(t, e, 3)
	end()

	o.Proof.Signer = signer.New([]string{"../../examples/signer/openssl.sh", keys}) // it fails while keys is away
	e = openEngine(t, o)
	end = start(t, e)
	moved, err := e.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, proof.KeyFile)); !os.IsNotExist(err) {
		t.Errorf("the secret is still in the data directory: %v", err)
	}
	add(t, e, "b", 1, 3)
	await(t, e, 6)
	if err := os.Rename(keys, keys+"-away"); err != nil {
		t.Fatal(err)
	}
	add(t, e, "c", 1, 3) // fails the test unless they are acknowledged
	time.Sleep(100 * time.Millisecond)
	if got := e.Stats().Log.Proven; got != 6 {
		t.Errorf("%d records are proven without a signature", got)
	}
	back := func() {
		t.Helper()
		if err := os.Rename(keys+"-away", keys); err != nil {
			t.Fatal(err)
		}
	}
	back()
	await(t, e, 9)
	end()
	if err := os.Rename(keys, keys+"-away"); err != nil {
		t.Fatal(err)
	}
	e = openEngine(t, o) // a start while it is away
	end = start(t, e)
	add(t, e, "d", 1, 3)
	back()
	await(t, e, 12)
	if _, err := e.Rotate(t.Context()); err == nil || !strings.Contains(err.Error(), "have it give a new one") {
		t.Errorf("a change to the same key: %v", err)
	}
	newKey("2.pem")
	vkey, err := e.Rotate(t.Context())
	if err != nil || vkey == moved {
		t.Fatalf("%q, %v", vkey, err)
	}
	add(t, e, "e", 1, 1)
	await(t, e, 13)
	end()
	for _, key := range []string{vkey, moved} {
		r, err := proof.Verify(t.Context(), b, "", key, proof.VerifyOptions{})
		if err != nil || !r.OK() || r.Records != 13 {
			t.Errorf("%v, %d records, %v", err, r.Records, r.Faults)
		}
	}
}
