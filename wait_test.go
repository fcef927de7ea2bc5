package indelible_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible"
	"indelible/internal/proof"
)

// lose damages the body of the only record in dir, on the disk.
func lose(t *testing.T, dir, body string) {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(dir, "spool", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(b, []byte(body))
		if at < 0 {
			continue
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{'X'}, int64(at+5)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("no segment holds the body")
}

// A record that the disk lost is never told to be stored: not to who waits
// already, not to who asks later, not after the next Open.
func TestWaitTellsOfALostRecord(t *testing.T) {
	for _, off := range []bool{false, true} {
		dir := t.TempDir()
		o := indelible.Options{Dir: dir, Proof: indelible.Proof{Off: off}}
		log := open(t, o)
		body := strings.Repeat("secret", 100)
		receipt, err := log.Append(t.Context(), indelible.Record{Key: "k", Body: strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		intact, err := log.Append(t.Context(), indelible.Record{Key: "other", Body: strings.NewReader("{}")})
		if err != nil {
			t.Fatal(err)
		}
		lose(t, dir, body)
		early := make(chan error, 1)
		go func() { early <- log.Wait(short(t), receipt) }()
		stop := run(t, log)
		if err := <-early; !errors.Is(err, indelible.ErrLost) {
			t.Errorf("off %v: wait begun before: %v", off, err)
		}
		if err := log.Wait(short(t), receipt); !errors.Is(err, indelible.ErrLost) {
			t.Errorf("off %v: wait begun after: %v", off, err)
		}
		if err := log.Wait(short(t), intact); err != nil {
			t.Errorf("off %v: the record beside it: %v", off, err)
		}
		if err := log.Close(short(t)); err != nil {
			t.Fatal(err)
		}
		stop()
		log = open(t, o)
		run(t, log)
		err = log.Wait(short(t), receipt)
		if !off && !errors.Is(err, indelible.ErrLost) || off && err == nil {
			t.Errorf("off %v: wait after another open: %v", off, err)
		}
		if err := log.Close(short(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitProven(t *testing.T) {
	dir := t.TempDir()
	log := open(t, indelible.Options{Dir: dir})
	run(t, log)
	receipt, err := log.Append(t.Context(), indelible.Record{Key: "a.json", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.WaitProven(short(t), receipt); err != nil {
		t.Fatal(err)
	}
	vkey, err := os.ReadFile(filepath.Join(dir, proof.PublicFile))
	if err != nil {
		t.Fatal(err)
	}
	p, err := proof.Prove(t.Context(), storeIn(t, filepath.Join(dir, "store")), "", strings.TrimSpace(string(vkey)), nil, receipt.Seq)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, _, err := p.Check(strings.TrimSpace(string(vkey)), strings.NewReader("{}")); err != nil || leaf.Key != "a.json" {
		t.Errorf("%+v, %v", leaf, err)
	}
	if err := log.WaitProven(short(t), receipt); err != nil {
		t.Errorf("wait again: %v", err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

func TestUnsignedLog(t *testing.T) {
	dir := t.TempDir()
	log := open(t, indelible.Options{Dir: dir, Proof: indelible.Proof{Off: true}})
	run(t, log)
	receipt, err := log.Append(t.Context(), indelible.Record{Key: "a.json", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Wait(short(t), receipt); err != nil {
		t.Fatal(err)
	}
	if err := log.WaitProven(short(t), receipt); err == nil {
		t.Error("an unsigned log tells of a proof")
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "log.key")); err == nil {
		t.Error("an unsigned log has a key")
	}
}

func TestWaitRefusesOtherReceipts(t *testing.T) {
	log := open(t, indelible.Options{Dir: t.TempDir()})
	receipt, err := log.Append(t.Context(), indelible.Record{Key: "a.json", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	other, later := receipt, receipt
	other.Log, later.Seq = "other", 2
	for _, r := range []indelible.Receipt{other, later} {
		if err := log.Wait(short(t), r); err == nil {
			t.Errorf("%v is waited for", r)
		}
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

// Who waits is told when the log is closed under it.
func TestCloseEndsWaits(t *testing.T) {
	log := open(t, indelible.Options{Dir: t.TempDir()})
	receipt, err := log.Append(t.Context(), indelible.Record{Key: "a.json", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { waited <- log.Wait(context.Background(), receipt) }()
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-waited:
		if !errors.Is(err, indelible.ErrClosed) {
			t.Errorf("wait: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody told it")
	}
}

// An Open that fails, and a Log that is closed, leave neither a lock nor a file open.
func TestNothingIsLeftOpen(t *testing.T) {
	dir := t.TempDir()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	before := openFiles(t)
	if _, err := indelible.Open(ended, indelible.Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("open with an ended context: %v", err)
	}
	log := open(t, indelible.Options{Dir: dir})
	stop := run(t, log)
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
	stop()
	if after := openFiles(t); len(after) > len(before) {
		t.Errorf("files left open: before %q, after %q", before, after)
	}
}

// openFiles are the files below the temporary directory that this process has open.
func openFiles(t *testing.T) (names []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not tell which files are open")
	}
	for _, fd := range fds {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, os.TempDir()) {
			names = append(names, name)
		}
	}
	return names
}

// An old copy of the directory is refused by Open, with the command that leads out.
func TestOldCopyIsRefused(t *testing.T) {
	top := t.TempDir()
	dir, backup := filepath.Join(top, "dir"), filepath.Join(top, "backup")
	store := storeIn(t, filepath.Join(top, "bucket"))
	write := func(key string) error {
		log, err := indelible.Open(t.Context(), indelible.Options{Dir: dir, Store: store})
		if err != nil {
			return err
		}
		run(t, log)
		if _, err := log.Append(t.Context(), indelible.Record{Key: key, Body: strings.NewReader("{}")}); err != nil {
			t.Error(err)
		}
		return log.Close(short(t))
	}
	if err := write("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := write("b"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := write("c"); !errors.Is(err, indelible.ErrForked) || !strings.Contains(err.Error(), "indelible rescue --data "+dir) {
			t.Errorf("open: %v", err)
		}
	}
}
