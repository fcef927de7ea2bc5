package spool

import (
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
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

// hope counts the reads that failed for good since one got better. Safe for concurrent use.
type hope struct {
	failed atomic.Int32
	last   atomic.Pointer[time.Time] // when the newest of them did
}

func (h *hope) gone() bool {
	last := h.last.Load()
	return h.failed.Load() >= maxHopeless && last != nil && time.Since(*last) < hopelessFor
}

func (h *hope) lose() {
	now := time.Now()
	if last := h.last.Swap(&now); last != nil && now.Sub(*last) >= hopelessFor {
		h.failed.Store(0)
	}
	h.failed.Add(1)
}

// patientFile tries reads again that the disk failed. That a file is short is no failure.
type patientFile struct {
	disk.File
	hope *hope // shared by all files
}

func (p patientFile) ReadAt(b []byte, off int64) (int, error) {
	got, err := p.File.ReadAt(b, off)
	for _, wait := range patience {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, fs.ErrClosed) {
			return got, err
		}
		if p.hope.gone() {
			wait = 0
		}
		time.Sleep(wait)
		if got, err = p.File.ReadAt(b, off); err == nil || errors.Is(err, io.EOF) {
			p.hope.failed.Store(0)
			return got, err
		}
	}
	p.hope.lose()
	return got, err
}

// openPatiently opens a file for reading, and tries that again at once where the disk fails it.
func (f *files) openPatiently(name string) (disk.File, error) {
	for tries := 0; ; tries++ {
		file, err := f.fs.Open(name)
		if err == nil {
			return patientFile{file, &f.hope}, nil
		}
		if tries == 2 || isNotExist(err) || passes(err) {
			return nil, err
		}
	}
}
