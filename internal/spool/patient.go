package spool

import (
	"errors"
	"io"
	"sync"
	"time"

	"indelible/internal/disk"
)

// patience is when a read that the disk failed is tried again. A record that is
// taken for lost is a gap for ever, and a disk behind a network fails a read now and then.
var patience = [...]time.Duration{0, 2 * time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}

// maxHopeless bounds the reads that are waited for in vain, with less than
// hopelessFor between them: a disk that is gone, or a stretch of it, is not waited
// for page by page.
const (
	maxHopeless = 16
	hopelessFor = 10 * time.Second
)

// hope says whether to wait for a disk. Safe for concurrent use.
type hope struct {
	mu     sync.Mutex
	failed int       // reads that failed for good since one got better; guarded by mu
	last   time.Time // when the newest of them did; guarded by mu
}

// again tries a read again that failed with err.
func (h *hope) again(err error, read func() error) error {
	for _, wait := range patience {
		if !h.left() {
			wait = 0
		}
		time.Sleep(wait)
		if err = read(); answered(err) {
			h.mu.Lock()
			h.failed = 0
			h.mu.Unlock()
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed, h.last = h.failed+1, time.Now()
	return err
}

// left says whether it is worth waiting.
func (h *hope) left() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed > 0 && time.Since(h.last) >= hopelessFor {
		h.failed = 0
	}
	return h.failed < maxHopeless
}

// answered says that a read told what the disk holds, or failed for another reason than the disk.
func answered(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || isNotExist(err) || passes(err)
}

// patientFile tries reads again that the disk failed. That a file is short is no failure.
type patientFile struct {
	disk.File
	hope *hope // shared by all files
}

func (p patientFile) ReadAt(b []byte, off int64) (int, error) {
	got, err := p.File.ReadAt(b, off)
	if answered(err) {
		return got, err
	}
	err = p.hope.again(err, func() (err error) {
		got, err = p.File.ReadAt(b, off)
		return err
	})
	return got, err
}

// openPatiently opens a file for reading, and tries that again where the disk fails it.
func (f *files) openPatiently(name string) (disk.File, error) {
	file, err := f.fs.Open(name)
	if !answered(err) {
		err = f.hope.again(err, func() (err error) {
			file, err = f.fs.Open(name)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return patientFile{file, &f.hope}, nil
}
