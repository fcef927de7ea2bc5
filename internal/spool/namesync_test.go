package spool

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
	"indelible/internal/disk/crashdisk"
)

// countingFS counts syncs of directories, each of which takes a second.
type countingFS struct {
	disk.FS
	syncs atomic.Int64
	err   error
}

func (c *countingFS) SyncDir(name string) error {
	c.syncs.Add(1)
	time.Sleep(time.Second)
	return errors.Join(c.err, c.FS.SyncDir(name))
}

// A hundred at once cost two syncs; none returns before a sync that began after it came.
func TestNameSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &countingFS{FS: crashdisk.New()}
		var n nameSync
		var wg sync.WaitGroup
		begun := time.Now()
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 5 * time.Millisecond)
				came := fs.syncs.Load()
				if err := n.sync(fs, "."); err != nil {
					t.Error(err)
				}
				// What ran when it came does not count: one more began, and ended.
				if now := fs.syncs.Load(); now == came {
					t.Errorf("%d returned with the sync that ran when it came", i)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begun); fs.syncs.Load() != 2 || took != 2*time.Second {
			t.Errorf("%d syncs in %v, want 2 in 2s", fs.syncs.Load(), took)
		}
		fs.err = errors.New("broken")
		for range 3 {
			wg.Go(func() {
				if err := n.sync(fs, "."); !errors.Is(err, fs.err) {
					t.Errorf("a sync that failed: %v", err)
				}
			})
		}
		wg.Wait()
		fs.err = nil
		if err := n.sync(fs, "."); err != nil {
			t.Errorf("after one that failed: %v", err)
		}
	})
}
