package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/term"
)

const (
	sampleEvery = time.Second
	// sampleMost is how many samples are kept: a quarter of an hour.
	sampleMost = 900
	// maxViewers bounds the dashboards that are open at a time.
	maxViewers = 100
	// viewerPatience bounds how long a viewer may take to read one event.
	viewerPatience = 10 * time.Second
)

// Live shows the status to every open dashboard, once a second, as server-sent events. All
// viewers share one snapshot, so that one more costs a write and nothing else. Its Run must
// run; it is safe for concurrent use.
type Live struct {
	source Source

	mu       sync.Mutex
	event    []byte        // the newest event; nil until there is one; guarded by mu
	next     chan struct{} // closed when there is a newer one; guarded by mu
	history  history       // guarded by mu
	viewers  int           // guarded by mu
	watching chan struct{} // receives when the first viewer comes
}

// Source is what Live shows. Its functions are called by one goroutine at a time.
type Source struct {
	Status  func(context.Context) (Status, error)
	Recent  func() []catalog.Row // Views'
	Senders func() []Sender      // those that sent last first
}

// Sender is who sent records through a door since the daemon started.
type Sender struct {
	Door    string    `json:"door"`
	Source  string    `json:"source"`  // the name of a credential, behind its team; an access key's id; or a remote host
	Records uint64    `json:"records"` // those sent again included
	Last    time.Time `json:"last"`    // of the last acknowledgement
}

// NewLive makes a Live that shows nothing until Run runs.
func NewLive(source Source) *Live {
	return &Live{source: source, next: make(chan struct{}), watching: make(chan struct{}, 1)}
}

// history is what the samples of the last minutes were, a column for each number.
type history struct {
	Time    []int64  `json:"time"` // Unix milliseconds
	Acked   []uint64 `json:"acked"`
	Stored  []uint64 `json:"stored"`
	Proven  []uint64 `json:"proven"`
	Pending []uint64 `json:"pending"`
}

func (h *history) add(at time.Time, s *Status) {
	h.Time = push(h.Time, at.UnixMilli())
	h.Acked, h.Stored, h.Proven = push(h.Acked, s.Acked), push(h.Stored, s.Stored), push(h.Proven, s.Proven)
	h.Pending = push(h.Pending, s.Pending)
}

// push appends, and lets go of the oldest where there are too many.
func push[T any](list []T, v T) []T {
	if list = append(list, v); len(list) > 2*sampleMost {
		list = append(list[:0], list[len(list)-sampleMost:]...)
	}
	return list
}

// snapshot is one event.
type snapshot struct {
	Time    time.Time     `json:"time"`
	Health  Health        `json:"health"`
	Status  Status        `json:"status"`
	Remedy  remedies      `json:"remedy"`
	Recent  []catalog.Row `json:"recent"`
	Senders []Sender      `json:"senders"`
	Error   string        `json:"error,omitempty"` // why there is no status
}

type remedies struct {
	Destination string `json:"destination,omitempty"`
	Disk        string `json:"disk,omitempty"`
	Gaps        string `json:"gaps,omitempty"`
}

// Run takes a sample every second until ctx ends.
func (l *Live) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		l.sample(ctx, time.Now())
		select {
		case <-tick.C:
		case <-l.watching:
		case <-ctx.Done():
			return nil
		}
	}
}

// sample looks once, and wakes the viewers where there are any.
func (l *Live) sample(ctx context.Context, now time.Time) {
	s, err := l.source.Status(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.history.add(now, &s)
	}
	if l.viewers == 0 {
		l.event = nil
		return
	}
	snap := snapshot{Time: now.UTC(), Status: s, Recent: l.source.Recent(), Senders: l.source.Senders()}
	if err != nil {
		snap.Error = err.Error()
	} else {
		snap.Health, snap.Remedy = s.Health(), remedies{Destination: s.Destination.Remedy(), Disk: s.Disk.Remedy()}
		if s.Gaps > 0 {
			snap.Remedy.Gaps = GapRemedy
		}
		snap.Status.Destination.LastError = term.Plain(s.Destination.LastError)
	}
	b, err := json.Marshal(snap)
	if err != nil {
		b = []byte(`{"error":"the status cannot be written"}`)
	}
	l.event = fmt.Appendf(nil, "event: status\ndata: %s\n\n", b)
	close(l.next)
	l.next = make(chan struct{})
}

// enter counts a viewer in, and returns the history for it.
func (l *Live) enter() (past []byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.viewers >= maxViewers {
		return nil, false
	}
	if l.viewers++; l.viewers == 1 {
		select {
		case l.watching <- struct{}{}: // it is not to wait a second for its first picture
		default:
		}
	}
	b, err := json.Marshal(l.history)
	if err != nil {
		b = []byte("{}")
	}
	return fmt.Appendf(nil, "retry: 1000\nevent: history\ndata: %s\n\n", b), true
}

func (l *Live) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.viewers--
}

// newest is the newest event, and what is closed when there is another.
func (l *Live) newest() ([]byte, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.event, l.next
}

// ServeHTTP shows one viewer everything until it leaves.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	event, ok := l.enter()
	if !ok {
		http.Error(w, fmt.Sprintf("%d dashboards are open already: close one, or ask /api/status", maxViewers), http.StatusServiceUnavailable)
		return
	}
	defer l.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	latest, next := l.newest()
	for {
		for _, e := range [][]byte{event, latest} {
			_ = out.SetWriteDeadline(time.Now().Add(viewerPatience)) // where it cannot be set, the write ends with the connection
			if _, err := w.Write(e); err != nil {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
		event = nil
		latest, next = l.newest()
	}
}
