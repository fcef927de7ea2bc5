package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/osdisk"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/record"
	"indelible/internal/recorder"
	"indelible/internal/spool"
)

// bench is a door before a real spool, and an upstream.
type bench struct {
	t     testing.TB
	door  *proxy.Door
	spool *spool.Spool
	dir   string
	url   string // of the upstream "up" through the door

	fsyncs, synced atomic.Int64 // by the spool, and records in them
}

// appender may stand between the door and the spool.
type appender func(ctx context.Context, r record.Record) (record.Receipt, error)

func (a appender) Append(ctx context.Context, r record.Record) (record.Receipt, error) {
	return a(ctx, r)
}

func newBench(t testing.TB, upstream string, with func(*proxy.Options, *spool.Spool)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	fs, err := osdisk.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	count := func(records int, _ int64, _ time.Duration, _ error) {
		b.fsyncs.Add(1)
		b.synced.Add(int64(records))
	}
	if b.spool, err = spool.Open(fs, spool.Options{Log: "test", Events: spool.Events{Synced: count}}); err != nil {
		t.Fatal(err)
	}
	o := proxy.Options{Recorder: recorder.Options{Log: b.spool, Data: fs}, Upstreams: []proxy.Upstream{{Name: "up", URL: upstream}}}
	if with != nil {
		with(&o, b.spool)
	}
	if b.door, err = proxy.New(o); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, b.door)
	b.url = "http://" + addr + "/up"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(b.door.Recorder().Close(ctx), b.spool.Close(), fs.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// serve runs a door's server on a loopback port until the test ends.
func serve(t testing.TB, h *proxy.Door) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := ingest.NewServer(h, ingest.ServerOptions{Write: -1, Header: proxy.MaxHeader, Refuse: h.Refuse, Guard: &ingest.Guard{Open: true}})
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// exchanges are the records of the log, opens and closes by their exchange's id.
type exchanges struct {
	open, last map[string]*capture.Exchange
	derived    map[string]*capture.Derived // of last
	order      []string                    // ids of last
	others     [][]byte                    // gaps
}

// records reads the log.
func (b *bench) records() exchanges {
	b.t.Helper()
	e := exchanges{open: map[string]*capture.Exchange{}, last: map[string]*capture.Exchange{}, derived: map[string]*capture.Derived{}}
	for body, err := range bodies(b.spool) {
		if err != nil {
			b.t.Fatal(err)
		}
		c, d, err := capture.Parse(body)
		if err != nil {
			e.others = append(e.others, body)
			continue
		}
		if c.Kind == capture.Open {
			e.open[c.ID] = c
			continue
		}
		if e.last[c.ID] != nil {
			b.t.Errorf("exchange %s has two ends", c.ID)
		}
		e.last[c.ID], e.derived[c.ID] = c, d
		e.order = append(e.order, c.ID)
	}
	return e
}

// one is the only exchange of the log.
func (b *bench) one() (open, last *capture.Exchange, d *capture.Derived) {
	b.t.Helper()
	e := b.wait(1)
	if len(e.last) != 1 {
		b.t.Fatalf("%d exchanges", len(e.last))
	}
	id := e.order[0]
	return e.open[id], e.last[id], e.derived[id]
}

// wait is records once there are n ends: an abort is recorded after the client has seen it.
func (b *bench) wait(n int) exchanges {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if e := b.records(); len(e.last) >= n || time.Now().After(deadline) {
			return e
		}
	}
}

func bodies(s *spool.Spool) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if s.Stats().Acked == 0 {
			return
		}
		for e, err := range s.Entries(context.Background(), 1) {
			if err != nil {
				yield(nil, err)
				return
			}
			r, err := e.Open()
			if err != nil {
				yield(nil, err)
				return
			}
			body, err := io.ReadAll(r)
			_ = r.Close()
			if !yield(body, err) || err != nil {
				return
			}
			if st := s.Stats(); uint64(e.Seq) >= st.Acked {
				return // Entries would wait for the next
			}
		}
	}
}

// script is an upstream that answers each connection's requests with bytes.
type script struct {
	addr string
	mu   sync.Mutex
	got  []string // what came, request by request: head and body
}

// newScript serves: answer is called with the connection after each request was read.
func newScript(t testing.TB, answer func(c net.Conn, r *http.Request, body []byte)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{addr: "http://" + l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c, answer) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return s
}

func (s *script) serve(c net.Conn, answer func(c net.Conn, r *http.Request, body []byte)) {
	defer func() { _ = c.Close() }()
	var raw strings.Builder
	in := bufio.NewReader(io.TeeReader(c, &raw))
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.got = append(s.got, raw.String())
		s.mu.Unlock()
		raw.Reset()
		answer(c, r, body)
		if r.Close {
			return
		}
	}
}
