package indelible_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible"
	"indelible/internal/disk/osdisk"
	"indelible/internal/layout"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

func open(t *testing.T, o indelible.Options) *indelible.Log {
	t.Helper()
	log, err := indelible.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// run runs the log until the test ends or stop is called.
func run(t *testing.T, log *indelible.Log) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := log.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	stop = func() { cancel(); all.Wait() }
	t.Cleanup(stop)
	return stop
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestAppendWaitStored(t *testing.T) {
	dir := t.TempDir()
	log := open(t, indelible.Options{Dir: dir})
	run(t, log)
	at := time.Date(2026, 11, 22, 1, 2, 3, 4000, time.UTC)
	receipt, err := log.Append(t.Context(), indelible.Record{ID: "resp/1", Time: at, Body: strings.NewReader("{}")})
	if err != nil || receipt.Seq != 1 || receipt.Log == "" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if err := log.Wait(short(t), receipt); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "store", "2026-11-22", "time-01-02-03-000004_resp_1.json"))
	if err != nil || string(got) != "{}" {
		t.Errorf("stored %q, %v", got, err)
	}
	if err := log.Wait(short(t), receipt); err != nil {
		t.Errorf("wait again: %v", err)
	}
	again, err := log.Append(t.Context(), indelible.Record{ID: "other", Body: strings.NewReader("{}")})
	if err != nil || again.Seq != 2 {
		t.Fatalf("%+v, %v", again, err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Append(t.Context(), indelible.Record{ID: "late", Body: strings.NewReader("{}")}); !errors.Is(err, indelible.ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
}

func TestUndeliveredRecordsAreDeliveredLater(t *testing.T) {
	dir := t.TempDir()
	log := open(t, indelible.Options{Dir: dir})
	receipt, err := log.Append(t.Context(), indelible.Record{Key: "a/b.json", Body: strings.NewReader("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
	log = open(t, indelible.Options{Dir: dir})
	run(t, log)
	if err := log.Wait(short(t), receipt); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "store", "a", "b.json")); err != nil || string(got) != "kept" {
		t.Errorf("stored %q, %v", got, err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	log := open(t, indelible.Options{Dir: dir})
	if _, err := indelible.Open(t.Context(), indelible.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by") {
		t.Errorf("second open: %v", err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

// refusing is a store that refuses every record for its own content.
type refusing struct{ store.Store }

func (r refusing) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if strings.HasPrefix(o.Key, layout.ProofDir) {
		return r.Store.Put(ctx, o)
	}
	return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Poison, Code: "EntityTooLarge", Err: errors.New("too large")}
}

func storeIn(t *testing.T, root string) indelible.Store {
	t.Helper()
	fsys, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return dir.Open(fsys)
}

func TestWaitTellsOfARefusal(t *testing.T) {
	log := open(t, indelible.Options{Dir: t.TempDir(), Store: refusing{storeIn(t, t.TempDir())}})
	run(t, log)
	receipt, err := log.Append(t.Context(), indelible.Record{ID: "x", Body: strings.NewReader("{}")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // as it happens, and afterwards
		if err := log.Wait(short(t), receipt); !errors.Is(err, indelible.ErrQuarantined) {
			t.Errorf("wait: %v", err)
		}
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

func TestBadInput(t *testing.T) {
	if _, err := indelible.Open(t.Context(), indelible.Options{}); err == nil {
		t.Error("no directory was taken")
	}
	if _, err := indelible.Open(t.Context(), indelible.Options{Dir: t.TempDir(), Prefix: "{team}"}); err == nil {
		t.Error("an unknown placeholder was taken")
	}
	log := open(t, indelible.Options{Dir: t.TempDir()})
	for name, r := range map[string]indelible.Record{
		"no body":       {ID: "x"},
		"big metadata":  {ID: "x", Body: strings.NewReader(""), Meta: map[string]string{"a": strings.Repeat("x", 2000)}},
		"key too long":  {Key: strings.Repeat("k", record.MaxKey+1), Body: strings.NewReader("")},
		"a broken body": {ID: "x", Body: io.MultiReader(strings.NewReader("half"), broken{})},
	} {
		if _, err := log.Append(t.Context(), r); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	receipt, err := log.Append(t.Context(), indelible.Record{ID: "fine", Body: strings.NewReader("")})
	if err != nil || receipt.Seq != 1 {
		t.Errorf("%+v, %v", receipt, err)
	}
	if err := log.Close(short(t)); err != nil {
		t.Fatal(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the line broke") }
