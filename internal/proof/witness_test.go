package proof

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/record"
)

// testWitness does what C2SP tlog-witness asks of one.
type testWitness struct {
	t    *testing.T
	log  publicKey
	name string
	key  ed25519.PrivateKey

	mu   sync.Mutex // guards what follows, and is held while a request is answered
	size int64
	root tlog.Hash
	away bool
}

// set changes what the witness thinks.
func (w *testWitness) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func newTestWitness(t *testing.T, log publicKey) (*testWitness, Witness) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &testWitness{t: t, log: log, name: "witness.example/w1", key: key}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return w, Witness{URL: server.URL + "/", Key: w.public().vkey()}
}

func (w *testWitness) public() *noteKey {
	return newNoteKey(w.name, typeCosignature, w.key.Public().(ed25519.PublicKey))
}

func (w *testWitness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		w.mu.Unlock()
		<-r.Context().Done()
		w.mu.Lock()
		return
	}
	before, checkpoint, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(before, "\n")
	var old int64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil || !ok || r.URL.Path != "/add-checkpoint" {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	h, err := openCheckpoint([]byte(checkpoint), w.log.Name(), w.log)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusForbidden)
		return
	}
	if old != w.size {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", w.size)
		return
	}
	var path tlog.TreeProof
	for _, line := range lines[1:] {
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			w.t.Error(err)
		}
		path = append(path, tlog.Hash(b))
	}
	if old > 0 {
		if err := tlog.CheckTree(path, int64(h.Size), h.Root, old, w.root); err != nil {
			http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
			return
		}
	}
	w.size, w.root = int64(h.Size), h.Root
	sig := binary.BigEndian.AppendUint64(nil, 1_700_000_000)
	message, err := w.public().message(1_700_000_000, []byte(h.text()))
	if err != nil {
		w.t.Error(err)
	}
	sig = append(sig, ed25519.Sign(w.key, message)...)
	fmt.Fprintf(rw, "— %s %s\n", "somebody.else/x", base64.StdEncoding.EncodeToString(append([]byte{1, 2, 3, 4}, sig...)))
	fmt.Fprintf(rw, "— %s %s\n", w.name, base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, w.public().hash), sig...)))
}

// cosignedBy says whether the published checkpoint bears the witness's cosignature, and nobody's else.
func (b *bench) cosignedBy(w Witness) bool {
	b.t.Helper()
	key, err := parseCosigner(w.Key)
	b.do(err)
	n, err := note.Open(b.st.data(b.path("checkpoint")), note.VerifierList(append([]note.Verifier{key}, b.key.public.verifiers()...)...))
	b.do(err)
	if len(n.UnverifiedSigs) > 0 {
		b.t.Errorf("the checkpoint bears %v", n.UnverifiedSigs)
	}
	return len(n.Sigs) == 1+len(b.key.public.parts)
}

func TestWitnessCosigns(t *testing.T) {
	b := newBench(t)
	w, known := newTestWitness(t, b.key.public)
	b.opt.Witnesses = []Witness{known}
	b.opt.WitnessTimeout = time.Minute
	b.opt.Events.Failed = func(err error) { t.Error(err) }
	l := b.open()
	b.do(l.Start("p", "c", ""))
	for seq := record.Seq(1); seq <= 1000; seq += 333 {
		b.add(l, seq, seq+332)
		b.do(l.Checkpoint(t.Context()))
		if !b.cosignedBy(known) || w.size != int64(l.Stats().Size) || l.Stats().Cosigned != 1 {
			t.Fatalf("size %d: the witness has %d", l.Stats().Size, w.size)
		}
	}
	l = b.open() // a new process learns the witness's size from its 409
	b.do(l.Start("p", "c", ""))
	b.do(l.Stop(t.Context()))
	if !b.cosignedBy(known) {
		t.Error("not cosigned after a restart")
	}
	b.do(l.checkpoint(t.Context(), true)) // history has it already, with other cosignatures or these
	b.leaves()
	if r := b.verify(VerifyOptions{}); !r.OK() {
		t.Error(r.Faults)
	}
}

// A witness that is away, wrong or suspicious stops no checkpoint, and it is said.
func TestWitnessIsAway(t *testing.T) {
	b := newBench(t)
	w, known := newTestWitness(t, b.key.public)
	b.opt.Witnesses = []Witness{known, {URL: "http://127.0.0.1:1", Key: known.Key}}
	b.opt.WitnessTimeout = 50 * time.Millisecond
	var said []string
	b.opt.Events.Failed = func(err error) {
		if _, ok := errors.AsType[*WitnessError](err); !ok {
			t.Error(err)
		}
		said = append(said, err.Error())
	}
	w.set(func() { w.away = true })
	l := b.open()
	b.add(l, 1, 3)
	b.do(l.Checkpoint(t.Context()))
	if len(said) != 2 || b.cosignedBy(known) || l.Stats().Cosigned != 0 {
		t.Errorf("said %q", said)
	}
	b.opt.WitnessTimeout, b.opt.Witnesses = time.Minute, []Witness{known}
	w.set(func() { w.away = false })
	said = nil
	l = b.open()
	b.add(l, 4, 4)
	b.do(l.Checkpoint(t.Context()))
	if len(said) != 0 || !b.cosignedBy(known) {
		t.Errorf("said %q when it was back", said)
	}
	w.set(func() { w.away = true })
	b.opt.WitnessTimeout = 50 * time.Millisecond
	l = b.open()
	b.add(l, 5, 5)
	b.do(l.Checkpoint(t.Context()))
	b.do(l.Checkpoint(t.Context())) // it is the leaf's, and still away
	b.do(l.Checkpoint(t.Context())) // of nothing new
	b.opt.WitnessTimeout = time.Minute
	w.set(func() { w.away = false })
	l.opt.WitnessTimeout = time.Minute
	b.add(l, 6, 6)
	b.do(l.Checkpoint(t.Context()))
	b.do(l.Checkpoint(t.Context()))
	if got := kinds(b.leaves()); got != "record 1, record 2, record 3, record 4, record 5, witness, record 6, witness" {
		t.Errorf("the log says %s", got)
	}
	said = nil
	w.set(func() { w.size = 77 })
	b.add(l, 7, 7)
	b.do(l.Checkpoint(t.Context()))
	if len(said) != 1 || !strings.Contains(said[0], "another process") {
		t.Errorf("said %q of a witness that has seen more", said)
	}
	other, _ := GenerateKey("test-log")
	w.set(func() { w.size, w.log = 9, other.public })
	said = nil
	b.add(l, 8, 8)
	b.do(l.Checkpoint(t.Context()))
	if len(said) != 1 || !strings.Contains(said[0], "403") {
		t.Errorf("said %q of a witness that knows another key", said)
	}
	b.opt.Witnesses = []Witness{{URL: "http://x", Key: b.key.Public()}}
	if _, err := Open(context.Background(), b.st, b.key, Options{Disk: b.d, Base: testBase, Witnesses: b.opt.Witnesses}); err == nil || !strings.Contains(err.Error(), "type 4") {
		t.Errorf("a log's key for a witness's: %v", err)
	}
}
