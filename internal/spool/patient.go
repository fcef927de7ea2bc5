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

// maxHopeless bounds the reads that are waited for in vain: a disk that is gone,
// or a stretch of it, is not waited for page by page.
const maxHopeless = 16

// patientFile tries reads again that the disk failed. That a file is short is no failure.
type patientFile struct {
	disk.File
	hopeless *atomic.Int32 // reads that failed for good since one got better; shared by all files
}

func (p patientFile) ReadAt(b []byte, off int64) (int, error) {
	got, err := p.File.ReadAt(b, off)
	for _, wait := range patience {
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, fs.ErrClosed) {
			return got, err
		}
		if p.hopeless.Load() >= maxHopeless {
			wait = 0
		}
		time.Sleep(wait)
		if got, err = p.File.ReadAt(b, off); err == nil || errors.Is(err, io.EOF) {
			p.hopeless.Store(0)
			return got, err
		}
	}
	p.hopeless.Add(1)
	return got, err
}

// openPatiently opens a file for reading, and tries that again at once where the disk fails it.
func (f *files) openPatiently(name string) (disk.File, error) {
	for tries := 0; ; tries++ {
		file, err := f.fs.Open(name)
		if err == nil {
			return patientFile{file, &f.hopeless}, nil
		}
		if tries == 2 || isNotExist(err) || passes(err) {
			return nil, err
		}
	}
}
