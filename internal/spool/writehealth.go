package spool

import (
	"cmp"
	"errors"
	"io/fs"
	"sync"
	"time"

	"indelible/internal/disk"
)

const (
	probeFile  = "probe" + tempSuffix // Open removes one that was left
	probeEvery = 5 * time.Second
)

// writeHealth knows whether the newest write to the disk failed. After a failure nobody may send
// any more, a load balancer that asks for readiness for one, and then no append would tell that the disk
// works again: probe does. It is safe for concurrent use.
type writeHealth struct {
	fs disk.FS

	mu      sync.Mutex
	failure error     // of the newest write, sync or new segment; nil: it did not fail; guarded by mu
	ended   error     // the spool takes nothing any more; guarded by mu
	probed  time.Time // when the last probe began; guarded by mu
	probing bool      // guarded by mu
}

func (h *writeHealth) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

func (h *writeHealth) worked() { h.failed(nil) }

func (h *writeHealth) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(h.ended, h.failure)
}

// end has err stay.
func (h *writeHealth) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = err
}

// due reports whether a probe is to be made now, and notes that it begins. ended follows.
func (h *writeHealth) due(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failure == nil || h.probing || now.Sub(h.probed) < probeEvery {
		return false
	}
	h.probing, h.probed = true, now
	return true
}

// probe makes a small file durable and removes it.
func (h *writeHealth) probe() {
	err := h.fs.Remove(probeFile)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = writeNew(h.fs, probeFile, make([]byte, blockSize))
	}
	if err == nil {
		err = h.fs.Remove(probeFile)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probing = false
	if err == nil {
		h.failure = nil
	}
}

// ProbeDisk has the disk tried in the background where its newest write failed, every five seconds at
// most; Stats tells the outcome. It does not wait.
func (s *Spool) ProbeDisk() {
	if s.opts.ReadOnly || s.begin() != nil {
		return
	}
	if !s.writes.due(time.Now()) {
		s.life.RUnlock()
		return
	}
	go func() {
		defer s.life.RUnlock() // Close waits for it
		s.writes.probe()
	}()
}
