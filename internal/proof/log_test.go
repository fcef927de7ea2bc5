package proof

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/torture"
)

const testBase = "audit/"

// bench is one log under test: its key, its bucket and its data directory.
type bench struct {
	t   *testing.T
	key Key
	old Key // the one before, where it was changed
	st  *memStore
	d   disk.FS
	opt Options

	witness []string // the keys of the witnesses of its log
}

func newBench(t *testing.T) *bench {
	t.Helper()
	key, err := GenerateKey("test-log")
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, key: key, st: newMemStore(), d: tempDisk(t)}
}

func tempDisk(t *testing.T) disk.FS {
	t.Helper()
	d, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func (b *bench) open() *Log {
	b.t.Helper()
	l, err := b.tryOpen()
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

func (b *bench) tryOpen() (*Log, error) {
	o := b.opt
	o.Disk, o.Base = b.d, testBase
	return Open(context.Background(), b.st, b.key, o)
}

func body(seq record.Seq) []byte { return fmt.Appendf(nil, "body of record %d", seq) }

// outcome stores a record's object and says so.
func (b *bench) outcome(seq record.Seq, state record.State) record.Outcome {
	o := b.outcomeOf(seq, state)
	if state == record.Stored {
		o.Version = b.st.put(o.Stored, body(seq)).Version
		header, meta := attrsOf(seq)
		b.st.describe(o.Stored, header, meta)
	}
	return o
}

// attrsOf is what a record's object shows besides its bytes.
func attrsOf(seq record.Seq) (header, meta map[string]string) {
	return map[string]string{"content-type": "application/json"}, map[string]string{"user": "alice", "indelible-seq": fmt.Sprint(seq)}
}

func (b *bench) outcomeOf(seq record.Seq, state record.State) record.Outcome {
	data := body(seq)
	o := record.Outcome{State: state, Info: record.Info{
		Seq: seq, Time: time.Date(2026, 11, 24, 8, 0, 0, int(seq), time.UTC), Door: "s3", Source: "tester", Bucket: "logs",
		Key: fmt.Sprintf("2026-11-24/time-08-00-00-000000_id%d.json", seq), Size: int64(len(data)), Digest: sha256.Sum256(data),
	}}
	if state == record.Stored {
		o.Stored = testBase + o.Key
		o.AttrsDigest = store.AttrsDigest(attrsOf(seq))
	} else {
		o.Reason = "EntityTooLarge"
	}
	return o
}

func (b *bench) add(l *Log, first, last record.Seq) {
	b.t.Helper()
	for seq := first; seq <= last; seq++ {
		if err := l.Add(context.Background(), b.outcome(seq, record.Stored)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) do(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// leaves reads the whole log with x/mod's own words, checks it against the
// checkpoint, and returns its leaves.
func (b *bench) leaves() []Leaf {
	b.t.Helper()
	raw := b.st.data(Dir(testBase, "test-log") + "checkpoint")
	cp, err := openCheckpoint(raw, "test-log", b.key.public)
	b.do(err)
	r := newReader(b.st, testBase, "test-log")
	var leaves []Leaf
	var hashes []tlog.Hash
	at := tlog.HashReaderFunc(func(idx []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range idx {
			out = append(out, hashes[i])
		}
		return out, nil
	})
	for n := uint64(0); n*width < cp.Size; n++ {
		bundle, err := r.bundle(context.Background(), n, cp.Size)
		b.do(err)
		for _, rec := range bundle {
			stored, err := tlog.StoredHashes(int64(len(leaves)), rec, at)
			b.do(err)
			hashes = append(hashes, stored...)
			leaf, err := ParseLeaf(rec)
			b.do(err)
			leaves = append(leaves, leaf)
		}
	}
	root, err := tlog.TreeHash(int64(cp.Size), at)
	b.do(err)
	if root != cp.Root {
		b.t.Fatalf("root of size %d is not the one signed", cp.Size)
	}
	for _, tile := range tlog.NewTiles(8, 0, int64(cp.Size)) {
		want, err := tlog.ReadTileData(tile, at)
		b.do(err)
		got, _, err := r.get(context.Background(), tilePath(tile.L, uint64(tile.N), tile.W))
		b.do(err)
		if string(got) != string(want) {
			b.t.Fatalf("tile %s is not the tree's", tile.Path())
		}
	}
	return leaves
}

func kinds(leaves []Leaf) string {
	var s []string
	for _, l := range leaves {
		k := string(l.Kind)
		if l.Kind.counts() || l.Kind == Stored {
			k = fmt.Sprintf("%s %d", l.Kind, max(l.Seq, l.Last))
		}
		s = append(s, k)
	}
	return strings.Join(s, ", ")
}

func TestLife(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("indelible test", "c0ffee", ""))
	b.add(l, 1, 2)
	b.do(l.Add(t.Context(), b.outcome(3, record.Quarantined), b.outcome(4, record.Deferred)))
	b.do(l.Gap(t.Context(), record.GapError{First: 5, Last: 9, Cause: "bad block"}))
	b.do(l.Checkpoint(t.Context()))
	if s := l.Stats(); s.Size != 6 || s.Proven != 9 || s.Pending != 0 {
		t.Errorf("stats %+v", s)
	}
	b.do(l.Add(t.Context(), b.outcome(4, record.Stored), b.outcome(10, record.Stored), b.outcome(3, record.Stored)))
	b.do(l.Config("decaf"))
	b.do(l.Stop(t.Context()))
	want := "start, record 1, record 2, quarantined 3, deferred 4, gap 9, stored 4, record 10, stored 3, config, stop"
	if got := kinds(b.leaves()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	l = b.open()
	if !l.Clean() || l.Next() != 11 {
		t.Errorf("clean %v, next %d", l.Clean(), l.Next())
	}
	b.do(l.Start("indelible test", "c0ffee", ""))
	b.add(l, 11, 11)
	b.do(l.Checkpoint(t.Context()))
	l = b.open() // killed
	if l.Clean() {
		t.Error("a killed log is clean")
	}
	b.do(l.Start("indelible test", "c0ffee", "3 bytes of a torn entry were cut"))
	b.do(l.Checkpoint(t.Context()))
	want += ", start, record 11, recovered, start"
	if got := kinds(b.leaves()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := b.leaves()[13].Reason; got != "3 bytes of a torn entry were cut" {
		t.Errorf("recovered says %q", got)
	}
}

// Trees around the edges of tiles, grown in one go and in steps.
func TestSizes(t *testing.T) {
	for _, size := range []int{1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537} {
		if size > 1000 && (testing.Short() || torture.Race) {
			continue
		}
		b := newBench(t)
		b.opt.MaxPending = 1 << 20
		l := b.open()
		for seq := 1; seq <= size; seq++ {
			o := record.Outcome{State: record.Stored, Stored: "k", Info: record.Info{Seq: record.Seq(seq), Key: "k"}}
			b.do(l.Add(t.Context(), o))
			if seq == size/2 || seq == size-1 {
				b.do(l.Checkpoint(t.Context()))
			}
		}
		b.do(l.Checkpoint(t.Context()))
		if n := len(b.leaves()); n != size {
			t.Errorf("%d leaves, want %d", n, size)
		}
		b.d = tempDisk(t) // the memory is lost: everything from the bucket
		l = b.open()
		if l.Next() != record.Seq(size+1) {
			t.Errorf("size %d: rebuilt log expects %d next", size, l.Next())
		}
		b.do(l.Tick())
		b.do(l.Checkpoint(t.Context()))
		b.leaves()
	}
}

func TestAddAgain(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 1, 700)
	b.do(l.Checkpoint(t.Context()))
	b.add(l, 701, 705)
	b.add(l, 600, 705) // published and pending ones, as after a crash
	b.add(l, 3, 3)
	b.do(l.Gap(t.Context(), record.GapError{First: 700, Last: 707, Cause: "late"}))
	b.do(l.Gap(t.Context(), record.GapError{First: 700, Last: 707, Cause: "late"}))
	b.do(l.Checkpoint(t.Context()))
	leaves := b.leaves()
	if last := leaves[len(leaves)-1]; len(leaves) != 707 || last.Kind != Gap || last.First != 706 || last.Last != 707 {
		t.Errorf("%d leaves, the last is %+v", len(leaves), last)
	}
	if err := l.Add(t.Context(), b.outcome(709, record.Stored)); !errors.Is(err, ErrOrder) {
		t.Errorf("a hole: %v", err)
	}
	o := b.outcome(5, record.Stored)
	o.Digest[0]++
	if err := l.Add(t.Context(), o); !errors.Is(err, ErrForked) {
		t.Errorf("other bytes under a known seq: %v", err)
	}
	if err := l.Checkpoint(t.Context()); !errors.Is(err, ErrForked) {
		t.Errorf("after that: %v", err)
	}
}

// A new log on a spool that has come far: a record that was parked before
// the log began gets its leaf when it is stored, and stops nothing.
func TestLateRecordFromBeforeTheLog(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.add(l, 100, 103)
	b.do(l.Add(t.Context(), b.outcome(6, record.Deferred)))
	b.do(l.Checkpoint(t.Context()))
	b.do(l.Add(t.Context(), b.outcome(6, record.Quarantined), b.outcome(5, record.Stored)))
	b.do(l.Stop(t.Context()))
	if got, want := kinds(b.leaves()), "start, record 100, record 101, record 102, record 103, stored 5, stop"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMaxPendingWritesCheckpoint(t *testing.T) {
	b := newBench(t)
	b.opt.MaxPending = 100
	l := b.open()
	b.add(l, 1, 250)
	if s := l.Stats(); s.Size != 200 || s.Pending != 50 {
		t.Errorf("stats %+v", s)
	}
	b.leaves()
}

// A second writer is noticed whichever way it comes.
func TestSecondWriter(t *testing.T) {
	t.Run("other key", func(t *testing.T) {
		b := newBench(t)
		l := b.open()
		b.add(l, 1, 3)
		b.do(l.Checkpoint(t.Context()))
		b.key, _ = GenerateKey("test-log")
		b.d = tempDisk(t)
		if _, err := b.tryOpen(); !errors.Is(err, ErrForked) || !strings.Contains(err.Error(), "another name") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("same key, both from the beginning", func(t *testing.T) {
		b := newBench(t)
		one := b.open()
		b.d = tempDisk(t)
		two := b.open()
		b.do(one.Start("one", "", ""))
		b.do(two.Start("two", "", ""))
		b.do(one.Checkpoint(t.Context()))
		if err := two.Checkpoint(t.Context()); !errors.Is(err, ErrForked) {
			t.Errorf("got %v", err)
		}
		b.leaves()
	})
	t.Run("same key, one after the other", func(t *testing.T) {
		b := newBench(t)
		one := b.open()
		b.add(one, 1, 3)
		b.do(one.Checkpoint(t.Context()))
		b.d = tempDisk(t)
		two := b.open()
		b.do(two.Start("two", "", ""))
		b.do(two.Checkpoint(t.Context()))
		b.add(one, 4, 4)
		if err := one.Checkpoint(t.Context()); !errors.Is(err, ErrForked) {
			t.Errorf("got %v", err)
		}
		b.leaves()
	})
}

func TestOpenRefusesAnotherPast(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 300)
	b.do(l.Checkpoint(t.Context()))
	old, oldBucket := tempDisk(t), b.st.clone()
	state, err := readFile(b.d, stateFile)
	b.do(err)
	b.do(old.MkdirAll(stateDir))
	b.do(writeFile(old, stateFile, state))
	b.add(l, 301, 302)
	b.do(l.Checkpoint(t.Context()))
	for name, c := range map[string]struct {
		st   *memStore
		d    disk.FS
		want string
	}{
		"bucket rolled back":       {oldBucket, b.d, "older state"},
		"data directory put back":  {b.st, old, "old copy"},
		"empty bucket":             {newMemStore(), b.d, "right bucket"},
		"bucket and all: fine too": {b.st, b.d, ""},
	} {
		var err error
		synctest.Test(t, func(t *testing.T) { // an empty bucket is asked again for a while
			_, err = Open(t.Context(), c.st, b.key, Options{Disk: c.d, Base: testBase})
		})
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrForked) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hidingStore has no checkpoint for the first gets: as a store that replaces an
// object in two steps.
type hidingStore struct {
	store.Store
	hide int
}

func (s *hidingStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if strings.HasSuffix(key, "/checkpoint") {
		if s.hide--; s.hide >= 0 {
			return nil, store.Info{}, &store.Error{Op: "get", Class: store.NotFound, Err: errors.New("NoSuchKey")}
		}
	}
	return s.Store.Get(ctx, key, o)
}

// A checkpoint that is away for a moment is asked for again; one that stays
// away is found missing, and published again.
func TestOpenAsksAgainForTheCheckpoint(t *testing.T) {
	for _, c := range []struct {
		hide, repairs int
	}{{1, 0}, {patience - 1, 0}, {patience, 1}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			l := b.open()
			b.add(l, 1, 3)
			b.do(l.Checkpoint(t.Context()))
			repairs := 0
			l, err := Open(t.Context(), &hidingStore{b.st, c.hide}, b.key, Options{Disk: b.d, Base: testBase, Events: Events{Repaired: func(string) { repairs++ }}})
			b.do(err)
			if l.Stats().Size != 3 || repairs != c.repairs {
				t.Errorf("hidden %d times: size %d, %d repairs", c.hide, l.Stats().Size, repairs)
			}
			b.add(l, 4, 4)
			b.do(l.Checkpoint(t.Context()))
			b.leaves()
		})
	}
	// A log that has put none there does not wait for one.
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		newBench(t).open()
		if d := time.Since(start); d > 0 {
			t.Errorf("a new log waited %v", d)
		}
	})
}

func TestDamagedStateIsRefused(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 3)
	b.do(l.Checkpoint(t.Context()))
	state, err := readFile(b.d, stateFile)
	b.do(err)
	state[len(bytes.TrimRight(state, "\x00"))/2] ^= 1
	b.do(writeFile(b.d, stateFile, state))
	for what, err := range map[string]error{
		"open":           func() error { _, err := b.tryOpen(); return err }(),
		"last published": func() error { _, _, err := LastPublished(b.d); return err }(),
	} {
		if _, ok := errors.AsType[*StateError](err); !ok || !strings.Contains(err.Error(), "move that file away") {
			t.Errorf("%s: %v", what, err)
		}
	}
	b.do(b.d.Remove(stateFile)) // as the error says
	b.add(b.open(), 4, 4)
}

func TestRun(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		l := b.open()
		b.do(l.Start("p", "c", ""))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx, time.Minute) }()
		time.Sleep(61 * time.Second)
		if got := kinds(b.leaves()); got != "start" {
			t.Errorf("after a minute: %s", got)
		}
		time.Sleep(3 * time.Hour)
		n := len(b.leaves())
		if n != 1+18 {
			t.Errorf("%d leaves after three idle hours", n)
		}
		cancel()
		b.do(<-done)
	})
	checkpoints := 0
	for _, k := range b.st.keys() {
		if strings.Contains(k, "/history/") {
			checkpoints++
		}
	}
	if checkpoints != 4 {
		t.Errorf("%d checkpoints kept, want one for each hour begun", checkpoints)
	}
}

func TestRotate(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 3)
	next, err := GenerateKey("test-log")
	b.do(err)
	b.do(l.Rotate(t.Context(), next))
	both := b.st.data(Dir(testBase, "test-log") + "checkpoint")
	for _, k := range []Key{b.key, next} {
		if _, err := openCheckpoint(both, "test-log", k.public); err != nil {
			t.Errorf("the checkpoint of the change lacks the signature of %s: %v", k, err)
		}
	}
	leaves := b.leaves()
	if err := checkRotation("test-log", &leaves[3]); err != nil {
		t.Error(err)
	}
	leaves[3].New = b.key.Public()
	if checkRotation("test-log", &leaves[3]) == nil {
		t.Error("a changed statement passes")
	}
	b.add(l, 4, 4)
	b.do(l.Checkpoint(t.Context()))
	if _, err := b.tryOpen(); !errors.Is(err, ErrForked) {
		t.Errorf("the old key opens the log: %v", err)
	}
	b.opt.Next = next // killed before the new key was put in its place
	b.add(b.open(), 5, 5)
	b.key, b.opt.Next = next, Key{}
	b.add(b.open(), 5, 5)
}

// A change of key that another checkpoint covers than Rotate's own is kept for good too, and so is one whose process died
// right behind it: who knows only the old key finds the way to the new one.
func TestChangeOfKeyIsKept(t *testing.T) {
	for _, dies := range []bool{false, true} {
		b := newBench(t)
		l := b.open()
		b.do(l.Start("p", "c", ""))
		b.add(l, 1, 3)
		b.do(l.Checkpoint(t.Context())) // kept, as the first one of its hour
		next, err := GenerateKey("test-log")
		b.do(err)
		b.do(l.beginRotation(t.Context(), next))
		if dies {
			b.failing("/history/", store.Credentials)
		}
		if err := l.Checkpoint(t.Context()); (err != nil) != dies {
			t.Errorf("dies %v: %v", dies, err)
		}
		old := b.key
		b.st.hook = nil
		if dies {
			b.opt.Next = next
			b.open() // and dies again, right behind the end of the change
			b.key, b.opt.Next = next, Key{}
			l = b.open()
			b.do(l.Start("p", "c", ""))
		}
		b.add(l, 4, 4)
		b.do(l.Checkpoint(t.Context()))
		b.do(l.Stop(t.Context()))
		for _, b.key = range []Key{next, old} {
			b.clean()
		}
	}
}

func TestTemporaryObjects(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 300)
	b.do(l.Checkpoint(t.Context()))
	dir := Dir(testBase, "test-log")
	for name, temporary := range map[string]bool{"tile/0/001.p/44": true, "tile/entries/001.p/44": true, "tile/1/000.p/1": false, "tile/0/000": false, "checkpoint": false} {
		if got := b.st.tags[dir+name]["indelible"] == "partial"; got != temporary {
			t.Errorf("%s is marked as temporary: %v", name, got)
		}
	}
	b.do(l.Stop(t.Context()))
	for _, name := range []string{"tile/0/001.p/45", "tile/entries/001.p/45"} {
		if tags := b.st.tags[dir+name]; tags != nil {
			t.Errorf("%s of the last checkpoint is marked %v", name, tags)
		}
	}
}

func (b *bench) failing(match string, class store.Class) {
	b.st.hook = func(o store.Object) (bool, error) {
		if strings.Contains(o.Key, match) {
			return false, &store.Error{Op: "put", Key: o.Key, Class: class, Err: errors.New("injected")}
		}
		return true, nil
	}
}

func TestErrorsKeepTheirClass(t *testing.T) { synctest.Test(t, errorsKeepTheirClass) }

func errorsKeepTheirClass(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.add(l, 1, 3)
	for _, match := range []string{"/tile/", "/checkpoint", "/history/"} {
		b.failing(match, store.Throttled)
		if err := l.Checkpoint(t.Context()); store.ClassOf(err) != store.Throttled {
			t.Errorf("%s: %v", match, err)
		}
	}
	b.st.hook = nil
	b.do(l.Checkpoint(t.Context()))
	b.leaves()
}

// A record that the disk does not give back is deferred with nothing but its
// number; whatever bytes come later are no fork.
func TestDeferredUnread(t *testing.T) {
	b := newBench(t)
	l := b.open()
	b.do(l.Start("p", "c", ""))
	b.do(l.Add(t.Context(), record.Outcome{State: record.Deferred, Info: record.Info{Seq: 1}, Reason: "input/output error"}))
	b.do(l.Checkpoint(t.Context()))
	b.add(l, 2, 2)
	b.do(l.Add(t.Context(), b.outcome(1, record.Stored)))
	b.do(l.Stop(t.Context()))
	leaves := b.leaves()
	if got, want := kinds(leaves), "start, deferred 1, record 2, stored 1, stop"; got != want || !leaves[1].Unread {
		t.Errorf("got %s, want %s; %+v", got, want, leaves[1])
	}
	b.clean()
}
