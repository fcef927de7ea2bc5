package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	attemptTimeout = 10 * time.Second       // OTLP's default for a sender
	retryPause     = 200 * time.Millisecond // of a sender that was refused
	lastPatience   = 30 * time.Second       // how long a sender goes on with its last record
)

// load sends records to a peer and remembers what was acked.
type load struct {
	to      *peer
	at      place
	conns   int
	rate    int // records a second; 0: as fast as they are acked
	most    int // records; 0: until it is stopped
	sent    *sent
	client  *http.Client
	next    atomic.Int64
	mu      sync.Mutex
	took    []time.Duration // from the first attempt to the ack; guarded by mu
	stopped chan struct{}
}

func newLoad(to *peer, at place, conns, rate int) *load {
	return &load{to: to, at: at, conns: conns, rate: rate, sent: newSent(), stopped: make(chan struct{}),
		client: &http.Client{Timeout: attemptTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: conns}}}
}

// run sends until stop, and until every sender has an ack for its last record or has lost patience.
func (l *load) run(ctx context.Context) {
	defer l.client.CloseIdleConnections()
	turns := make(chan struct{})
	var wg sync.WaitGroup
	for range l.conns {
		wg.Go(func() {
			for range turns {
				l.send(ctx, fmt.Sprintf("%s-%06d", l.at.run, l.next.Add(1)))
			}
		})
	}
	l.turns(turns)
	close(turns)
	wg.Wait()
}

// turns gives the senders their turns until the load is stopped or all records are out.
func (l *load) turns(turns chan<- struct{}) {
	var tick <-chan time.Time
	if l.rate > 0 {
		t := time.NewTicker(time.Second / time.Duration(l.rate))
		defer t.Stop()
		tick = t.C
	}
	for n := 0; l.most == 0 || n < l.most; n++ {
		if tick != nil {
			select {
			case <-l.stopped:
				return
			case <-tick:
			}
		}
		select {
		case <-l.stopped:
			return
		case turns <- struct{}{}:
		}
	}
}

func (l *load) stop() { close(l.stopped) }

// send hands one record over, again and again until it is acked, as a sender does that must not
// lose it; or once, where asking again would be another call.
func (l *load) send(ctx context.Context, id string) {
	l.sent.try(id)
	text, begun := body(id), time.Now()
	var late <-chan time.Time
	stopped := l.stopped
	for {
		if err := l.attempt(ctx, id, text); err == nil {
			l.sent.ack(id)
			l.mu.Lock()
			l.took = append(l.took, time.Since(begun))
			l.mu.Unlock()
			return
		}
		if l.to.once {
			return
		}
		pause := time.After(retryPause)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-late:
				return
			case <-stopped:
				stopped, late = nil, time.After(lastPatience)
			case <-pause:
				waiting = false
			}
		}
	}
}

func (l *load) attempt(ctx context.Context, id, text string) error {
	req, err := l.to.request(l.at, id, text)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", id, resp.Status)
	}
	return nil
}

// quantile is the q-th part of how long acks took.
func (l *load) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return 0
	}
	slices.Sort(l.took)
	return l.took[min(len(l.took)-1, int(q*float64(len(l.took))))]
}
