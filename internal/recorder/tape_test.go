package recorder

import (
	"bytes"
	"sync/atomic"
	"testing"
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
		tp := r.newTape("x", 10, time.Now())
		tp.head = func() []byte { return []byte("head\n") }
		if err := tp.write(bytes.Repeat([]byte("x"), 100), time.Now()); err != nil {
			t.Fatal(err)
		}
		tp.synced = tp.synced.Add(-2 * syncEvery)
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
