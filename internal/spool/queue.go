package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"indelible/internal/record"
)

// pendingEntry is one record on its way to the disk.
type pendingEntry struct {
	header      entryHeader // without seq
	meta        []byte
	body        []byte // inline
	in          *admitted
	id          recordID
	bucket, key string
	req         *appendRequest
	space       [384]byte // of meta, where it is enough

	// Guarded by queue.mu:
	followers []*follower // the same bytes under the same name, sent again meanwhile
	tries     int         // batches that failed with it
	err       error
	done      bool
}

// follower waits for the entry of another append that has the same bytes under
// the same name.
type follower struct {
	req *appendRequest
	err error // the other one failed: try again
}

// appendRequest is the records of one append, which wait for the disk together.
// It is used once.
type appendRequest struct {
	entries []*pendingEntry // to be written, in order
	bytes   int64           // that they take in a segment
	next    int             // the first that no batch took; guarded by queue.mu
	left    int             // entries and followers that are not done; guarded by queue.mu
	gone    bool            // nobody waits any more; guarded by queue.mu
	done    chan struct{}   // closed when left is 0
}

// queue is what waits for the write loop. It is safe for concurrent use.
type queue struct {
	known  *known
	notify chan struct{} // tells the write loop, where it waits for room, that the queue changed; capacity 1

	mu       sync.Mutex
	waiting  []*appendRequest         // guarded by mu
	inFlight map[uint64]*pendingEntry // the newest entry of each name that is not durable yet; guarded by mu
	running  bool                     // a write loop runs, or is being started; guarded by mu
	yield    bool                     // somebody needs the space of the active segment, if it is released; guarded by mu
	closed   bool                     // guarded by mu
	ended    error                    // why it is closed for good, if it is not the end of the spool; guarded by mu
	wanted   int                      // requests that the write loop waits for; 0: it does not wait; guarded by mu
	filled   chan struct{}            // tells it that they are there; capacity 1
}

func newQueue(k *known) *queue {
	return &queue{known: k, notify: make(chan struct{}, 1), filled: make(chan struct{}, 1), inFlight: map[uint64]*pendingEntry{}}
}

// wake tells a write loop that waits for room to look again.
func (q *queue) wake() {
	select {
	case q.notify <- struct{}{}:
	default: // it knows already
	}
}

// enqueue queues what of these entries is new, in order. An entry whose bytes are the newest under its
// name already is answered: by seqs, or by the follower of the one in flight.
// start reports that the caller has to start the write loop.
func (q *queue) enqueue(entries []*pendingEntry, answer func(i int, seq record.Seq, f *follower, of *pendingEntry)) (req *appendRequest, start bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.ended != nil {
		return nil, false, cmp.Or(q.ended, record.ErrClosed)
	}
	req = &appendRequest{done: make(chan struct{})}
	for i, e := range entries {
		if p := q.inFlight[e.id.name]; p != nil {
			if p.id == e.id {
				f := &follower{req: req}
				p.followers = append(p.followers, f)
				req.left++
				answer(i, 0, f, p)
				continue
			}
		} else if seq, same, ok := q.known.newest(e.id); ok && same {
			answer(i, seq, nil, nil)
			continue
		}
		e.req, e.done, e.err = req, false, nil
		q.inFlight[e.id.name] = e
		req.entries = append(req.entries, e)
		req.bytes += e.header.size()
		req.left++
	}
	if len(req.entries) > 0 {
		q.waiting = append(q.waiting, req)
		if q.wanted > 0 && len(q.waiting) >= q.wanted {
			q.wanted = 0
			q.filled <- struct{}{}
		}
		start = !q.running
		q.running = true
	}
	if req.left == 0 {
		close(req.done)
	}
	return req, start, nil
}

// position is a request that is done when everything queued before it is.
func (q *queue) position() *appendRequest {
	q.mu.Lock()
	defer q.mu.Unlock()
	req := &appendRequest{done: make(chan struct{})}
	for _, e := range q.inFlight { // all that is not durable, or what is newer of the same name
		e.followers = append(e.followers, &follower{req: req})
		req.left++
	}
	if req.left == 0 {
		close(req.done)
	}
	return req
}

// errTaken says that an append may be delivered although its sender gave up waiting.
var errTaken = errors.New("on its way to the disk")

// wait returns once a request is done or ctx ends. Then what no batch took is taken out of the queue, and
// an errTaken says that the rest may be delivered.
func (q *queue) wait(ctx context.Context, req *appendRequest) error {
	select {
	case <-req.done:
		return nil
	default:
	}
	select {
	case <-req.done:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if req.left == 0 {
		return nil
	}
	req.gone = true
	taken := req.next > 0
	if i := slices.Index(q.waiting, req); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		for _, e := range req.entries[req.next:] {
			q.finish(e, context.Canceled)
		}
	}
	if taken {
		return fmt.Errorf("%w: %w", ctx.Err(), errTaken)
	}
	return fmt.Errorf("%w: %w", record.ErrPushback, ctx.Err())
}

// finish ends the way of an entry. The caller holds q.mu.
func (q *queue) finish(e *pendingEntry, err error) {
	if q.inFlight[e.id.name] == e {
		delete(q.inFlight, e.id.name)
	}
	e.err, e.done = err, true
	for _, f := range e.followers {
		f.err = err
		f.req.oneDone()
	}
	e.followers = nil
	e.req.oneDone()
}

// oneDone counts one entry or follower as done. The caller holds queue.mu.
func (r *appendRequest) oneDone() {
	if r.left--; r.left == 0 {
		close(r.done)
	}
}

// finishAll ends the way of entries that are durable, or failed.
func (q *queue) finishAll(entries []*pendingEntry, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range entries {
		q.finish(e, err)
	}
}

// requeue puts the entries of failed batches back to the front of the queue, in
// order. An entry that failed too often fails, and one that nobody waits for is dropped.
func (q *queue) requeue(entries []*pendingEntry, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var front []*appendRequest
	for _, e := range entries {
		if e.tries++; e.tries >= maxTries || e.req.gone {
			q.finish(e, err)
			continue
		}
		if n := len(front); n == 0 || front[n-1] != e.req {
			front = append(front, e.req)
			e.req.next = slices.Index(e.req.entries, e)
		}
	}
	rest := slices.DeleteFunc(q.waiting, func(r *appendRequest) bool { return slices.Contains(front, r) })
	q.waiting = append(front, rest...)
}

// maxTries is how many batches may fail with a record before its sender hears of it.
const maxTries = 2

// failAll refuses everything that waits.
func (q *queue) failAll(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.waiting {
		for _, e := range r.entries[r.next:] {
			q.finish(e, err)
		}
	}
	q.waiting = nil
}

// take moves entries that fit to the caller, in order. full reports that one is
// left that does not fit. Of a request with many records none is taken before admit says that there is room
// for all. skip has those passed over that do not fit, where a request is of one record.
func (q *queue) take(fits func(*pendingEntry) bool, admit func(bytes int64) bool, into []*pendingEntry, skip bool) (taken []*pendingEntry, full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0 // requests that are taken whole
	for ; n < len(q.waiting) && !full; n++ {
		r := q.waiting[n]
		if full = r.next == 0 && len(r.entries) > 1 && !admit(r.bytes); full {
			break
		}
		for ; r.next < len(r.entries); r.next++ {
			e := r.entries[r.next]
			if e.done {
				continue // it failed in an earlier batch
			}
			if full = !fits(e); full {
				break
			}
			into = append(into, e)
		}
		if full {
			break
		}
	}
	q.waiting = slices.Delete(q.waiting, 0, n)
	if !full || !skip {
		return into, full
	}
	q.waiting = slices.DeleteFunc(q.waiting, func(r *appendRequest) bool {
		if r.next > 0 || len(r.entries) != 1 || !fits(r.entries[0]) {
			return false
		}
		r.next = 1
		into = append(into, r.entries[0])
		return true
	})
	return into, full
}

// await signals filled once n requests wait. It reports false if they do already.
func (q *queue) await(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= n {
		return false
	}
	q.wanted = n
	return true
}

// awaitNoMore takes await back, and returns how many requests wait.
func (q *queue) awaitNoMore() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wanted = 0; len(q.filled) > 0 {
		<-q.filled
	}
	return len(q.waiting)
}

// letCome lets goroutines that could run go on while further requests come of it: those of a moment in which the
// processors are busy then share an fsync. Where nothing else could run, it returns at once.
func (q *queue) letCome() {
	for n, tries := q.length(), 0; tries < 8; tries++ {
		runtime.Gosched()
		before := n
		if n = q.length(); n == before {
			return
		}
	}
}

// length is the number of requests that wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// needed is the size of the entry that is next, 0 if none waits.
func (q *queue) needed() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.waiting {
		for _, e := range r.entries[r.next:] {
			if !e.done {
				return e.header.size()
			}
		}
	}
	return 0
}

// neededSingle is the size of the first request of one record, 0 if none waits.
func (q *queue) neededSingle() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range q.waiting {
		if len(r.entries) == 1 {
			return r.bytes
		}
	}
	return 0
}

// wantYield asks for the space of the active segment. start reports that the caller
// has to start the write loop.
func (q *queue) wantYield() (start bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.yield, start = true, !q.running
	q.running = true
	return start
}

func (q *queue) takeYield() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	was := q.yield
	q.yield = false
	return was
}

// stop ends the write loop's run where nothing waits.
func (q *queue) stop() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return false
	}
	q.running = false
	return true
}

// end refuses what waits and what comes with err.
func (q *queue) end(err error) {
	q.mu.Lock()
	q.ended = err
	q.mu.Unlock()
	q.failAll(err)
}

// close refuses what comes from now on, and reports whether a write loop runs.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
