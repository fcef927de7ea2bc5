package upload

import (
	"context"
	"errors"
	"sync"
	"time"

	"indelible/internal/store"
)

// pace is the one pacer of everything that this process puts into the store:
// records, and, through Uploader.Pace, the objects that prove them. A refusal of
// either slows both.
type pace struct {
	mu        sync.Mutex
	pacer     pacer         // guarded by mu
	records   int           // guarded by mu: attempts of records in flight
	others    int           // guarded by mu: other puts in flight
	waiting   int           // guarded by mu: other puts that wait for their turn
	notBefore time.Time     // guarded by mu: until then nothing begins, as the store asked
	longest   time.Duration // immutable: bounds what the store may ask for
	moved     chan struct{} // guarded by mu; closed and replaced when another put may begin

	freed chan struct{} // wakes the delivery: there may be room for a record
}

func newPace(maxInFlight int, longest time.Duration) *pace {
	return &pace{pacer: newPacer(maxInFlight), longest: longest, moved: make(chan struct{}), freed: make(chan struct{}, 1)}
}

// share is how many other puts may be in flight: half of all, and one at least. The caller holds mu.
func (p *pace) share() int { return max(1, p.pacer.allowed()/2) }

// room says whether one more attempt of a record may begin. Other puts that wait are left their share;
// one record is always allowed, so neither can stop the other.
func (p *pace) room() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	yield := p.others + min(p.waiting, max(0, p.share()-p.others))
	return p.records < max(1, p.pacer.allowed()-yield)
}

// allowed is how many attempts may be in flight now.
func (p *pace) allowed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pacer.allowed()
}

// asked is the time before which the store wants nothing more; a time in the past if it asked for nothing.
func (p *pace) asked() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.notBefore
}

// begin notes an attempt of a record. It says in which epoch it began and whether nothing more may begin beside it.
func (p *pace) begin() (epoch uint64, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records++
	return p.pacer.epoch, p.records+p.others >= p.pacer.allowed()
}

// ended notes the end of an attempt of a record.
func (p *pace) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records--
	p.move()
}

// reset is the state before the first attempt of a Run.
func (p *pace) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pacer.restart()
	p.records = 0
	p.move()
}

func (p *pace) succeeded(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pacer.succeeded(full)
	p.move()
}

// failed takes a failure of an attempt, and slows down where its class may come of too much load.
func (p *pace) failed(class store.Class, epoch uint64, asked time.Duration) {
	switch class {
	case store.Throttled, store.Ambiguous, store.Unknown:
		p.throttled(epoch, asked)
	}
}

// throttled takes a failure of an attempt that began in the given epoch, and how long the store asked to wait.
func (p *pace) throttled(epoch uint64, asked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pacer.throttled(epoch)
	if asked > 0 {
		p.notBefore = later(p.notBefore, time.Now().Add(min(asked, p.longest)))
	}
}

func (p *pace) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pacer.restart()
	p.notBefore = time.Time{}
	p.move()
}

// move wakes whoever waits for a turn. The caller holds mu.
func (p *pace) move() {
	if p.waiting > 0 {
		close(p.moved)
		p.moved = make(chan struct{})
	}
}

// Pace returns once one more put may go to the store that is no record's, or
// with ctx's error. The put counts among the attempts in flight until done is
// called with what became of it; one that the store throttled slows the delivery, too, and
// what the delivery meets slows these. They may take half of what the store allows, one at
// a time at least: a store that hangs on records does not keep them from being proven.
func (u *Uploader) Pace(ctx context.Context) (done func(error), err error) {
	epoch, full, err := u.pace.turn(ctx)
	if err != nil {
		return nil, err
	}
	return func(err error) { u.pace.done(err, epoch, full) }, nil
}

// turn waits for the turn of a put that is no record's.
func (p *pace) turn(ctx context.Context) (epoch uint64, full bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	defer func() {
		p.waiting--
		wake(p.freed)
	}()
	for ctx.Err() == nil {
		wait := time.Until(p.notBefore)
		if wait <= 0 && (p.others == 0 || p.others < p.share() && p.records+p.others < p.pacer.allowed()) {
			p.others++
			return p.pacer.epoch, p.records+p.others >= p.pacer.allowed(), nil
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-due:
		case <-ctx.Done():
		}
		p.mu.Lock()
	}
	return 0, false, ctx.Err()
}

// done notes the end of a put that is no record's.
func (p *pace) done(err error, epoch uint64, full bool) {
	switch {
	case err == nil:
		p.succeeded(full)
	case errors.Is(err, context.Canceled): // says nothing of the store
	default:
		p.failed(store.ClassOf(err), epoch, retryAfter(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others--
	p.move()
	wake(p.freed)
}
