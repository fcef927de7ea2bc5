package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"indelible/internal/disk"
)

// errNoSpace says that there is no room for a segment.
var errNoSpace = errors.New("no room for a segment")

const (
	spareSuffix      = ".spare"
	firstSegment     = 1 << 20 // bytes of the first segment after a start; the next ones are four times as large each
	maxSpareSegments = 2       // kept ready
)

// spareSegments are segment files that are ready to be used: allocated and
// synced, so that the write loop waits for neither, and as a rule recycled from a released segment,
// because a file system overwrites what was written before faster than it extends. It is safe for concurrent use.
type spareSegments struct {
	fs    disk.FS
	space *space
	log   *slog.Logger
	full  int64 // bytes of a segment

	mu        sync.Mutex
	ready     []spareSegment // guarded by mu
	n         uint64         // counts names; guarded by mu
	size      int64          // of the next segment; guarded by mu
	preparing bool           // guarded by mu
	closed    bool           // guarded by mu
	wg        sync.WaitGroup // of prepare
}

type spareSegment struct {
	name string
	file disk.File // open for writing
	size int64
}

func newSpareSegments(fs disk.FS, sp *space, o Options) *spareSegments {
	return &spareSegments{fs: fs, space: sp, log: o.Logger, full: o.SegmentBytes, size: min(firstSegment, o.SegmentBytes)}
}

// nextSize is the size of the next segment.
func (p *spareSegments) nextSize() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// get returns a file of at least that size under a temporary name, with room in
// all of it. The caller owns it, and its bytes in the books.
func (p *spareSegments) get(size int64) (file disk.File, name string, got int64, err error) {
	p.mu.Lock()
	if n := len(p.ready); n > 0 && p.ready[n-1].size >= size {
		s := p.ready[n-1]
		p.ready = p.ready[:n-1]
		p.grow(s.size)
		p.mu.Unlock()
		return s.file, s.name, s.size, nil
	}
	name = p.nameLocked()
	p.mu.Unlock()
	if !p.space.take(size) {
		return nil, "", 0, errNoSpace
	}
	if file, err = p.make(name, size); err != nil {
		p.space.add(-size)
		if isFull(err) {
			p.space.full()
			return nil, "", 0, errNoSpace
		}
		return nil, "", 0, fmt.Errorf("make a segment: %w", err)
	}
	p.mu.Lock()
	p.grow(size)
	p.mu.Unlock()
	return file, name, size, nil
}

// room reports whether so many bytes fit into the segments that are ready, or can be made.
func (p *spareSegments) room(bytes int64) bool {
	p.mu.Lock()
	for _, s := range p.ready {
		bytes -= s.size - dataStart
	}
	size := p.size
	p.mu.Unlock()
	return bytes <= 0 || p.space.room((bytes+size-1)/size*size)
}

// grow has the next segment be larger: a spool that takes few records takes
// little of the disk. The caller holds p.mu.
func (p *spareSegments) grow(size int64) { p.size = min(max(p.size, 4*size), p.full) }

func (p *spareSegments) nameLocked() string {
	p.n++
	return fmt.Sprintf("%020d%s", p.n, spareSuffix)
}

// make makes a file with room for size bytes.
func (p *spareSegments) make(name string, size int64) (disk.File, error) {
	file, err := p.fs.Create(name)
	if err != nil {
		return nil, err
	}
	if err = file.Allocate(size); err != nil {
		_ = file.Close() // nothing is in it
		_ = p.fs.Remove(name)
		return nil, err
	}
	return file, nil
}

// discard gives up a file that get returned.
func (p *spareSegments) discard(file disk.File, name string, size int64) {
	_ = file.Close() // nothing in it is wanted
	if err := p.fs.Remove(name); err != nil && !isNotExist(err) {
		p.log.Warn("remove an unused segment; it goes at the next start", "file", name, "error", err)
	}
	p.space.add(-size)
}

// prepare makes the next segment in the background, unless one is ready. What
// fails here fails again, and is reported, when the segment is needed.
func (p *spareSegments) prepare() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.preparing || p.closed || len(p.ready) > 0 {
		return
	}
	p.preparing = true
	name, size := p.nameLocked(), p.size
	p.wg.Go(func() {
		p.space.fillBallast()
		var file disk.File
		if p.space.take(size) {
			var err error
			if file, err = p.make(name, size); err == nil {
				err = file.Sync()
			}
			if err != nil {
				if file != nil {
					p.discard(file, name, size)
				} else {
					p.space.add(-size)
				}
				file = nil
			}
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.preparing = false
		if file != nil {
			p.ready = append(p.ready, spareSegment{name, file, size})
		}
	})
}

// recycle makes a spare of a released segment whose size fits and that nobody
// reads; the books have its bytes already. It reports whether it did: else the caller removes the segment.
//
// The name goes first: who still reads by the old one finds nothing, and no
// other record. Then the header goes, so that under whatever name a crash leaves the file it is an unused segment.
func (p *spareSegments) recycle(g *segment, files *files) bool {
	if g.inherited {
		return false
	}
	p.mu.Lock()
	if g.size != p.full || len(p.ready) >= maxSpareSegments || p.closed {
		p.mu.Unlock()
		return false
	}
	name := p.nameLocked()
	p.mu.Unlock()
	if err := p.fs.Rename(g.name, name); err != nil {
		return false
	}
	unread := files.forget(g.name)
	file, err := p.fs.OpenWrite(name)
	if err == nil && unread {
		if _, err = file.WriteAt(make([]byte, dataStart), 0); err == nil {
			err = file.Sync()
		}
	}
	p.mu.Lock()
	if err == nil && unread && !p.closed {
		p.ready = append(p.ready, spareSegment{name, file, g.size})
		p.mu.Unlock()
		return true
	}
	p.mu.Unlock()
	if err != nil && file == nil {
		if err := p.fs.Remove(name); err != nil {
			p.log.Warn("remove an unused segment; it goes at the next start", "file", name, "error", err)
		}
		p.space.add(-g.size)
		return true
	}
	p.discard(file, name, g.size)
	return true
}

// drop removes the spares that are ready.
func (p *spareSegments) drop() {
	p.mu.Lock()
	ready := p.ready
	p.ready = nil
	p.mu.Unlock()
	for _, s := range ready {
		p.discard(s.file, s.name, s.size)
	}
}

// sweep removes the spares of an earlier run: Open does not look into them.
func (p *spareSegments) sweep() error {
	list, err := p.fs.ReadDir(".")
	if err != nil {
		return err
	}
	for _, d := range list {
		if strings.HasSuffix(d.Name(), spareSuffix) {
			if err := p.fs.Remove(d.Name()); err != nil && !isNotExist(err) {
				return err
			}
		}
	}
	return nil
}

// abandon closes the spares and leaves their names to the process that has the spool now.
func (p *spareSegments) abandon() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.ready {
		_ = s.file.Close() // nothing in it is wanted
	}
	p.ready = nil
}

// close removes the spares, waiting for one that is being made.
func (p *spareSegments) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wg.Wait()
	p.drop()
}
