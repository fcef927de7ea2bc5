package recorder

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/osdisk"
)

// slowDisk's files take until release to be synced.
type slowDisk struct {
	disk.FS
	begun   chan struct{} // closed when a sync begins
	release chan struct{}
	synced  atomic.Bool
	late    atomic.Bool // a file was closed before its sync had ended
}

func (d *slowDisk) Create(name string) (disk.File, error) {
	f, err := d.FS.Create(name)
	return &slowFile{f, d}, err
}

type slowFile struct {
	disk.File
	d *slowDisk
}

func (f *slowFile) Sync() error {
	close(f.d.begun)
	<-f.d.release
	f.d.synced.Store(true)
	return f.File.Sync()
}

func (f *slowFile) Close() error {
	f.d.late.Store(!f.d.synced.Load())
	return f.File.Close()
}

// Whoever ends a tape waits for a sync of its file that is under way: nothing works on a disk that its
// owner takes for unused.
func TestTapeEndsAfterItsSync(t *testing.T) {
	for name, end := range map[string]func(*tape){"free": (*tape).free, "leave": (*tape).leave} {
		under, err := osdisk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		d := &slowDisk{FS: under, begun: make(chan struct{}), release: make(chan struct{})}
		if err := d.MkdirAll(Dir); err != nil {
			t.Fatal(err)
		}
		r := &Recorder{o: Options{Data: d, MaxKept: 1 << 20}, shared: &shared{}}
		tp := r.newTape("x", 10)
		tp.head = func() []byte { return []byte("head\n") }
		if err := tp.write(bytes.Repeat([]byte("x"), burstBytes+1), time.Now()); err != nil {
			t.Fatal(err)
		}
		tp.mu.Lock()
		tp.synced = tp.synced.Add(-2 * syncEvery)
		tp.mu.Unlock()
		if err := tp.write(bytes.Repeat([]byte("x"), writeBytes), time.Now()); err != nil {
			t.Fatal(err)
		}
		<-d.begun
		time.AfterFunc(50*time.Millisecond, func() { close(d.release) })
		end(tp)
		if !d.synced.Load() || d.late.Load() {
			t.Errorf("%s: ended, sync done %v, closed before it %v", name, d.synced.Load(), d.late.Load())
		}
		if err := under.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStalledAnswer has an answer that stalls after its first bytes, which were few: once they are spillAge old they lie in a file, and soon
// after that they are synced, although nothing more comes.
func TestStalledAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under, err := osdisk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		d := &slowDisk{FS: under, begun: make(chan struct{}), release: make(chan struct{})}
		close(d.release)
		if err := d.MkdirAll(Dir); err != nil {
			t.Fatal(err)
		}
		r := &Recorder{o: Options{Data: d, MaxKept: 1 << 20}, shared: &shared{}}
		tp := r.newTape("x", spillBytes)
		tp.head, tp.guard = func() []byte { return []byte("head\n") }, &sync.Mutex{}
		tp.guard.Lock()
		if err := tp.write([]byte("few"), time.Now()); err != nil {
			t.Fatal(err)
		}
		tp.guard.Unlock()
		time.Sleep(spillAge + writeDelay)
		f, err := under.Open(Dir + "/x")
		if err != nil {
			t.Fatal(err)
		}
		size, err := f.Size()
		if err != nil || size != int64(2*frameHeader+len("head\nfew")) {
			t.Errorf("the file has %d bytes, %v", size, err)
		}
		time.Sleep(2 * syncEvery)
		if !d.synced.Load() {
			t.Error("it was not synced")
		}
		tp.free()
		if err := errors.Join(f.Close(), under.Close()); err != nil {
			t.Error(err)
		}
	})
}

// fullDisk has room for so many further files, and so many further writes.
type fullDisk struct {
	disk.FS
	files, writes int
}

var errFull = errors.New("no space")

func (d *fullDisk) Create(name string) (disk.File, error) {
	if d.files--; d.files < 0 {
		return nil, errFull
	}
	f, err := d.FS.Create(name)
	return &fullFile{f, d}, err
}

type fullFile struct {
	disk.File
	d *fullDisk
}

func (f *fullFile) WriteAt(p []byte, off int64) (int, error) {
	if f.d.writes--; f.d.writes < 0 {
		return 0, errFull
	}
	return f.File.WriteAt(p, off)
}

// TestWhatPassedStaysWithoutRoom has the disk full when an answer should go on in a file, which has begun to pass: what has passed is in its
// record all the same.
func TestWhatPassedStaysWithoutRoom(t *testing.T) {
	first, second, third := strings.Repeat("1", writeBytes), strings.Repeat("2", 100), strings.Repeat("3", writeBytes)
	for name, d := range map[string]*fullDisk{"no file": {}, "no head": {files: 1}, "no first bytes": {files: 1, writes: 1}, "no more": {files: 1, writes: 2}} {
		under, err := osdisk.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if d.FS = under; d.MkdirAll(Dir) != nil {
			t.Fatal("no directory")
		}
		r := &Recorder{o: Options{Data: d, MaxKept: 1 << 20}, shared: &shared{}}
		tp := r.newTape("x", spillBytes)
		tp.head = func() []byte { return []byte("head\n") }
		begun := time.Now()
		if err := tp.write([]byte(first), begun); err != nil {
			t.Fatal(err)
		}
		want := first + second
		if err := tp.write([]byte(second), begun.Add(2*spillAge)); err == nil {
			want += third
			if err := tp.write([]byte(third), begun.Add(2*spillAge)); !errors.Is(err, errFull) {
				t.Errorf("%s: %v", name, err)
			}
		}
		b, err := tp.body()
		got, rerr := io.ReadAll(b.Reader())
		if !errors.Is(err, errFull) || rerr != nil || string(got) != want || b.Kept != int64(len(want)) || b.Size != b.Kept {
			t.Errorf("%s: %v, %v: %d bytes, kept %d of %d, want %d", name, err, rerr, len(got), b.Kept, b.Size, len(want))
		}
		tp.free()
		if err := under.Close(); err != nil {
			t.Error(err)
		}
	}
}
