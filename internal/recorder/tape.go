package recorder

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk"
)

// When the bytes of an answer move from memory to a file, where a crash leaves them. Many answers of more than spillBytes come as fast as the
// network can, and have ended before writeDelay is over: of what has a file less than that is in memory, too.
const (
	spillBytes = 64 << 10 // unless they all came within writeDelay, and are at most
	burstBytes = 4 * spillBytes
	spillAge   = time.Second            // since the first of them
	writeBytes = 16 << 10               // are written together,
	writeDelay = 100 * time.Millisecond // unless they wait for so long
	syncEvery  = time.Second
)

// tape keeps the bytes of one direction of one exchange: in memory while they
// are few, then in a file. One goroutine writes; others may end it meanwhile.
type tape struct {
	data    disk.FS
	reserve int64
	scratch *sync.Pool    // *[]byte, for frames
	bursts  *sync.Pool    // *[burstBytes]byte, for more than a little in memory
	sums    *sync.Pool    // takes sum back
	name    string        // of the file, once there is one
	limit   int64         // bytes kept
	most    int64         // bytes in memory
	head    func() []byte // stands before the bytes in the file; nil: nothing, and age moves nothing to a file
	guard   sync.Locker   // is held by whoever calls write, and while head is called; nil: nothing
	atOnce  bool          // nobody sees any of it before it has ended
	private bool          // a new credential may stand in it, which only its end tells from other texts: it stays in memory up to burstBytes
	secrets []string      // are masked in the file: it may outlive those who know them

	mu         sync.Mutex
	begun      time.Time         // the first write; guarded by mu
	sum        hash.Hash         // of all that passed but the end of mem; nil once it was told; guarded by mu
	digest     [sha256.Size]byte // that was told; guarded by mu
	unsummed   int               // bytes at the end of mem that are not in sum: events are short, and hashed together; guarded by mu
	size       int64             // likewise; written under mu, read by the goroutine that writes
	mem        []byte            // not yet in the file; guarded by mu
	burst      *[burstBytes]byte // that mem lies in; nil: in memory of its own; guarded by mu
	file       *frames           // guarded by mu
	start      int64             // of the bytes in the file, behind the head; guarded by mu
	kept       int64             // bytes in the file and in mem; guarded by mu
	err        error             // of the file: nothing more is kept; guarded by mu
	unwritten  []byte            // what err kept out of the file; guarded by mu
	delayed    bool              // flushLate comes; guarded by mu
	due        time.Time         // at this time; guarded by mu
	synced     time.Time         // guarded by mu
	syncing    bool              // guarded by mu
	unsynced   bool              // something was written since the last sync began; guarded by mu
	unsyncable bool              // a sync failed; guarded by mu
	syncs      sync.WaitGroup    // under way; added to under mu, and not once done is set
	late       *time.Timer       // of flushLate; guarded by mu
	done       bool              // guarded by mu
	masked     bool              // a secret was; guarded by mu
	checked    int64             // where free space is looked at again; guarded by mu
}

// errEnded says that bytes came after the record was written, which has none of them.
var errEnded = errors.New("the record is written already")

// errNoRoom says that the reserve of the disk begins.
var errNoRoom = errors.New("no room beyond the reserve")

// newSum is a SHA-256, often one that was used before.
func (r *Recorder) newSum() hash.Hash {
	if sum, ok := r.sums.Get().(hash.Hash); ok {
		sum.Reset()
		return sum
	}
	return sha256.New()
}

func (r *Recorder) newTape(name string, most int64) *tape {
	return &tape{data: r.o.Data, reserve: r.o.Reserve, scratch: &r.scratch, bursts: &r.bursts, name: Dir + "/" + name, limit: r.o.MaxKept, most: most, sum: r.newSum(), sums: &r.sums}
}

// write keeps p. Its error says that bytes could not be kept, because of the disk, where they are counted all the same, or because the tape has ended.
func (t *tape) write(p []byte, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return errEnded
	}
	if t.size == 0 {
		t.begun = now
	}
	t.size += int64(len(p))
	if t.err != nil || int64(len(p)) > t.limit-t.kept {
		t.summed()
		t.sum.Write(p)
		if t.err != nil {
			return t.err
		}
		if p = p[:t.limit-t.kept]; len(p) == 0 {
			return nil
		}
		t.keep(p)
	} else {
		t.keep(p)
		if t.unsummed += len(p); t.unsummed >= sumBytes {
			t.summed()
		}
	}
	t.kept += int64(len(p))
	if t.file == nil {
		if wait := t.spillIn(now); wait > 0 {
			if t.head != nil && !t.atOnce && !t.private {
				t.flushIn(now, wait)
			}
			return nil
		}
		if err := t.create(); err != nil {
			return t.fail(err)
		}
	}
	if len(t.mem) >= writeBytes {
		return t.flush(false)
	}
	if len(t.mem) > 0 {
		t.flushIn(now, writeDelay)
	}
	return nil
}

// spillIn is how long the bytes may stay in memory; 0 or less is no longer. The caller holds mu.
func (t *tape) spillIn(now time.Time) time.Duration {
	n, age := int64(len(t.mem)), now.Sub(t.begun)
	switch {
	case t.head == nil && n <= t.most, t.private && n <= burstBytes:
		return spillAge
	case t.head == nil || n > burstBytes:
		return 0
	case n > t.most:
		return writeDelay - age
	}
	return spillAge - age
}

// flushIn has flushLate come after wait, or before. The caller holds mu.
func (t *tape) flushIn(now time.Time, wait time.Duration) {
	due := now.Add(wait)
	if t.delayed && !due.Before(t.due) {
		return
	}
	t.delayed, t.due = true, due
	if t.late == nil {
		t.late = time.AfterFunc(wait, t.flushLate)
	} else {
		t.late.Reset(wait)
	}
}

// keep appends to what is in memory. Requests have memory of their own: a transport may still be reading one whose answer has ended. The caller
// holds mu.
func (t *tape) keep(p []byte) {
	if n := len(t.mem) + len(p); n > cap(t.mem) && n > writeBytes && n <= burstBytes && t.burst == nil && t.head != nil {
		b, ok := t.bursts.Get().(*[burstBytes]byte)
		if !ok {
			b = new([burstBytes]byte)
		}
		t.burst, t.mem = b, append(b[:0], t.mem...)
	}
	t.mem = append(t.mem, p...)
}

// giveBack lets others use the memory again that mem lay in. The caller holds mu, and has mem lie elsewhere.
func (t *tape) giveBack() {
	if t.burst != nil {
		t.bursts.Put(t.burst)
		t.burst = nil
	}
}

// sumBytes are hashed together.
const sumBytes = 1 << 10

// summed hashes what is not. The caller holds mu.
func (t *tape) summed() {
	if t.sum == nil {
		return // it was told, and nothing came since
	}
	t.sum.Write(t.mem[len(t.mem)-t.unsummed:])
	t.unsummed = 0
}

// take keeps b, which is all there will be and fits into memory.
func (t *tape) take(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sum.Write(b)
	t.size, t.kept, t.mem = int64(len(b)), int64(len(b)), b
}

// create makes the file. The caller holds mu.
func (t *tape) create() (err error) {
	f, err := t.data.Create(t.name)
	if err != nil {
		return err
	}
	t.file = newFrames(f, t.name)
	if t.head != nil {
		err = t.append(t.head())
	}
	if t.start, t.synced = t.file.size, time.Now(); err != nil {
		return err
	}
	return t.flush(false)
}

// append writes frames. The caller holds mu.
func (t *tape) append(p []byte) error {
	b, ok := t.scratch.Get().(*[]byte)
	if !ok {
		b = new([]byte)
	}
	var err error
	if *b, err = t.file.append(p, *b); cap(*b) <= pooledBytes {
		t.scratch.Put(b)
	}
	return err
}

// mask masks the secrets in what is in memory, and tells how much of that may be written: not
// the beginning of a secret whose rest may come. The caller holds mu.
func (t *tape) mask() (ready int) {
	ready = len(t.mem)
	for _, secret := range t.secrets {
		if capture.Contains(t.mem, secret) {
			t.mem, t.masked = bytes.ReplaceAll(t.mem, []byte(secret), bytes.Repeat([]byte{'*'}, len(secret))), true
		}
	}
	for _, secret := range t.secrets {
		for n := min(len(secret)-1, len(t.mem)); n > len(t.mem)-ready; n-- {
			if string(t.mem[len(t.mem)-n:]) == secret[:n] {
				ready = len(t.mem) - n
			}
		}
	}
	return ready
}

// flush writes what is in memory, and at the end of the body all of it. The caller holds mu.
func (t *tape) flush(end bool) error {
	if t.file == nil || len(t.mem) == 0 || t.err != nil {
		return t.err
	}
	if t.file.size >= t.checked {
		free, err := t.data.Free()
		if err == nil && int64(free) < t.reserve {
			err = errNoRoom
		}
		if err != nil {
			return t.fail(err)
		}
		t.checked = t.file.size + 1<<20
	}
	t.summed() // before a secret is masked
	ready := t.mask()
	if end {
		ready = len(t.mem)
	}
	if err := t.append(t.mem[:ready]); err != nil {
		return t.fail(err)
	}
	if rest := t.mem[ready:]; cap(t.mem) > 2*writeBytes {
		t.mem = bytes.Clone(rest)
		t.giveBack()
	} else {
		t.mem = t.mem[:copy(t.mem, rest)]
	}
	if t.unsynced = true; !end {
		t.syncSoon()
	}
	return nil
}

// syncSoon begins a sync of what was written, or has it begin once the last one is syncEvery ago: also where nothing more
// is written. The caller holds mu.
func (t *tape) syncSoon() {
	if t.head == nil || !t.unsynced || t.unsyncable {
		return
	}
	if wait := syncEvery - time.Since(t.synced); t.syncing || wait > 0 {
		t.flushIn(time.Now(), max(wait, writeDelay))
		return
	}
	f := t.file.file
	t.syncing, t.unsynced = true, false
	t.syncs.Go(func() { t.sync(f) })
}

// fail stops keeping, once. The caller holds mu.
func (t *tape) fail(err error) error {
	t.summed()
	if t.err == nil {
		t.err = fmt.Errorf("keep a body under way: %w", err)
		t.kept = 0
		if t.file != nil {
			t.kept = t.file.size - t.start
		}
		t.mem, t.unwritten = nil, t.mem
	}
	return t.err
}

// passed is all that was written up to the first error, which Read may ask for once nothing is written any more.
func (t *tape) passed() io.Reader {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := bytes.NewReader(t.unwritten)
	if t.file == nil {
		return rest
	}
	return io.MultiReader(io.NewSectionReader(t.file.index(), t.start, t.kept), rest)
}

// flushLate writes what has waited, and makes the file where there is none.
func (t *tape) flushLate() {
	if t.guard != nil {
		t.guard.Lock()
		defer t.guard.Unlock()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delayed = false
	switch {
	case t.done || t.err != nil:
	case t.file != nil:
		_ = t.flush(false) // the next write finds the error
		t.syncSoon()
	default:
		if err := t.create(); err != nil {
			_ = t.fail(err) // likewise
		}
	}
}

// sync makes what is in the file durable: a power cut then leaves it, too. An
// error changes nothing: the close record is what counts.
func (t *tape) sync(f disk.File) {
	err := f.Sync()
	if err == nil {
		err = t.data.SyncDir(Dir)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.synced, t.syncing = time.Now(), false
	t.unsyncable = err != nil // after one that failed, none of this file means anything
}

// body is what was kept. Nothing is written afterwards.
func (t *tape) body() (capture.Body, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.flush(true)
	t.done = true
	if t.sum != nil {
		t.summed()
		t.sum.Sum(t.digest[:0])
		t.sums.Put(t.sum)
		t.sum = nil
	}
	b := capture.Body{Size: t.size, Kept: t.kept, Masked: t.masked, Digest: t.digest}
	b.Kept += int64(len(t.unwritten)) // it has passed
	if t.file == nil {
		b.Bytes = t.mem
		if t.err != nil {
			b.Bytes = t.unwritten
		}
		return b, t.err
	}
	b.File, b.Offset = t.file.index(), t.start
	if len(t.unwritten) > 0 {
		b.File = &extended{b.File, t.start + t.kept, t.unwritten}
	}
	return b, err
}

// extended is a file with bytes behind its end.
type extended struct {
	file io.ReaderAt
	end  int64
	rest []byte
}

// ReadAt implements io.ReaderAt.
func (e *extended) ReadAt(p []byte, off int64) (n int, err error) {
	if off < e.end {
		part := p[:min(int64(len(p)), e.end-off)]
		if n, err = e.file.ReadAt(part, off); n < len(part) {
			return n, err
		}
	}
	if at := off + int64(n) - e.end; n < len(p) && at < int64(len(e.rest)) {
		n += copy(p[n:], e.rest[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// free removes the file. What it held is in a record, or not wanted.
func (t *tape) free() {
	if f := t.end(); f != nil {
		_ = f.file.Close()        // nothing in it is wanted
		_ = t.data.Remove(t.name) // an orphan is found by Recover, whose record is then known
	}
}

// leave closes the file and keeps it for Recover.
func (t *tape) leave() {
	if f := t.end(); f != nil {
		_ = f.file.Close() // Recover reads what is in it
	}
}

// end lets nothing be written any more, waits for a sync under way, and gives the file up.
func (t *tape) end() *frames {
	t.mu.Lock()
	f := t.file
	t.file, t.mem, t.unsummed, t.done = nil, nil, 0, true
	t.giveBack()
	if t.late != nil {
		t.late.Stop()
	}
	t.mu.Unlock()
	t.syncs.Wait()
	return f
}
