package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"indelible/internal/store"
)

// patientStore repeats reads that failed for a transient reason: what a check
// calls unreadable was so for about ten seconds.
type patientStore struct{ store.Store }

const patience = 6 // attempts, over about ten seconds

// transient says whether what failed may work when it is tried again.
func transient(err error) bool {
	if _, foreign := errors.AsType[*ForeignObjectError](err); foreign || errors.Is(err, ErrForked) || errors.Is(err, store.ErrNoObject) {
		return false
	}
	switch store.ClassOf(err) {
	case store.Throttled, store.Ambiguous, store.Unreachable, store.Unknown:
		return err != nil
	}
	return false
}

// pause waits before attempt+1: longer each time, up to ten seconds, and as long
// as the store asks for, up to half a minute.
func pause(ctx context.Context, attempt int, err error) error {
	wait := 150 * time.Millisecond << min(attempt, patience)
	if e, ok := errors.AsType[*store.Error](err); ok {
		wait = max(wait, min(e.RetryAfter, 30*time.Second))
	}
	return sleep(ctx, wait/2+rand.N(wait/2))
}

func (p patientStore) retry(ctx context.Context, read func() error) error {
	return retryTransient(ctx, patience, read)
}

// retryTransient does something at most so many times, until it works or fails
// for a reason that does not pass.
func retryTransient(ctx context.Context, attempts int, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if !transient(err) || attempt == attempts || ctx.Err() != nil {
			return err
		}
		if serr := pause(ctx, attempt, err); serr != nil {
			return serr
		}
	}
}

// Get is store.Store's. A body that breaks off is opened again where it broke,
// as long as the object is the same.
func (p patientStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	open := func(offset int64) (body io.ReadCloser, info store.Info, err error) {
		o := o
		o.From += offset
		err = p.retry(ctx, func() error {
			body, info, err = p.Store.Get(ctx, key, o)
			return err
		})
		return body, info, err
	}
	body, info, err := open(0)
	if err != nil {
		return nil, info, err
	}
	return &patientBody{
		ReadCloser: body,
		size:       info.Size,
		reopen: func(offset int64) (io.ReadCloser, error) {
			body, now, err := open(offset)
			if err == nil && (now.ETag != info.ETag || now.Version != info.Version) {
				body.Close()
				return nil, fmt.Errorf("read %s: it was replaced while it was read", key)
			}
			return body, err
		},
		pause: func(attempt int, err error) error { return pause(ctx, attempt, err) },
	}, info, nil
}

// patientBody is a body that goes on after an error that passes.
type patientBody struct {
	io.ReadCloser
	reopen func(offset int64) (io.ReadCloser, error)
	pause  func(attempt int, err error) error

	size   int64 // of the body; 0 or less: unknown
	read   int64 // bytes handed out
	broken int   // how often it broke off
	err    error // what the next Read has to deal with
}

// Read is io.Reader's.
func (b *patientBody) Read(buf []byte) (int, error) {
	for {
		n, err := 0, b.err
		if err == nil {
			n, err = b.ReadCloser.Read(buf)
			b.read += int64(n)
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		if b.err = err; n > 0 {
			return n, nil
		}
		if b.broken++; !transient(err) || b.broken >= patience {
			return 0, err
		}
		if b.size > 0 && b.read >= b.size {
			return 0, err // all of it came, and then the store's checksum did not fit: there is nothing to read on
		}
		if b.pause(b.broken, err) != nil {
			return 0, err
		}
		next, operr := b.reopen(b.read)
		if operr != nil {
			b.broken, b.err = patience, operr // whoever reads on hears the same
			return 0, operr
		}
		b.ReadCloser.Close()
		b.ReadCloser, b.err = next, nil
	}
}

// pacedStore puts when its pacer lets it.
type pacedStore struct {
	store.Store
	pacer Pacer
}

// Put is store.Store's.
func (p pacedStore) Put(ctx context.Context, o store.Object) (store.Info, error) {
	done, err := p.pacer.Pace(ctx)
	if err != nil {
		return store.Info{}, err
	}
	info, err := p.Store.Put(ctx, o)
	done(err)
	return info, err
}

// Head is store.Store's.
func (p patientStore) Head(ctx context.Context, key string, o store.GetOptions) (info store.Info, err error) {
	err = p.retry(ctx, func() error {
		info, err = p.Store.Head(ctx, key, o)
		return err
	})
	return info, err
}

// List is store.Store's; after an error it goes on behind the last key it gave. Patience is
// for one page: a long listing meets more transient errors than a short one.
func (p patientStore) List(ctx context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for attempt := 1; ; attempt++ {
			var failed error
			for info, err := range p.Store.List(ctx, o) {
				if failed = err; err != nil {
					break
				}
				o.After, attempt = info.Key, 1
				if !yield(info, nil) {
					return
				}
			}
			if failed == nil {
				return
			}
			if transient(failed) && attempt < patience && pause(ctx, attempt, failed) == nil {
				continue
			}
			yield(store.Info{}, failed)
			return
		}
	}
}
