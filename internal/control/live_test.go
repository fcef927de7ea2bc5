package control

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/catalog"
)

// However many look, the daemon is asked once a second, and each sees the history first and
// then what is new.
func TestLive(t *testing.T) {
	var asked, listed atomic.Int64
	l := NewLive(Source{
		Status: func(context.Context) (Status, error) {
			n := asked.Add(1)
			return Status{Acked: uint64(n), Destination: DestinationStatus{State: "unreachable"}}, nil
		},
		Recent:  func() []catalog.Row { listed.Add(1); return []catalog.Row{{Seq: 9, Key: "k"}} },
		Senders: func() []Sender { return []Sender{{Door: "s3", Source: "app"}} },
	})
	server := httptest.NewServer(l)
	defer server.Close()
	for range 3 {
		l.sample(t.Context(), time.Now())
	}
	if listed.Load() != 0 {
		t.Error("records are listed for nobody")
	}
	const viewers = 20
	var lines []*bufio.Scanner
	for range viewers {
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
			t.Fatal(kind)
		}
		lines = append(lines, bufio.NewScanner(resp.Body))
	}
	next := func(s *bufio.Scanner, event string) (data string) {
		for s.Scan() {
			if s.Text() == "event: "+event && s.Scan() {
				return strings.TrimPrefix(s.Text(), "data: ")
			}
		}
		t.Fatalf("no event %q", event)
		return ""
	}
	for _, s := range lines {
		var h history
		if err := json.Unmarshal([]byte(next(s, "history")), &h); err != nil || len(h.Acked) != 3 || h.Acked[2] != 3 {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	before := asked.Load()
	l.sample(t.Context(), time.Now())
	for _, s := range lines {
		var e snapshot
		if err := json.Unmarshal([]byte(next(s, "status")), &e); err != nil || e.Status.Acked != uint64(before+1) || len(e.Recent) != 1 || len(e.Senders) != 1 || e.Remedy.Destination == "" || e.Health.Level != Bad {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	if asked.Load() != before+1 || listed.Load() != 1 {
		t.Errorf("for %d viewers the daemon was asked %d times", viewers, asked.Load()-before)
	}
}

// Run samples every second until it is stopped, and keeps a bounded history.
func TestLiveRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := NewLive(Source{Status: func(context.Context) (Status, error) { n++; return Status{}, nil }})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		time.Sleep(time.Hour + time.Second/2)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n != 3601 || len(l.history.Time) > 2*sampleMost || len(l.history.Time) < sampleMost {
			t.Errorf("%d samples, %d kept", n, len(l.history.Time))
		}
	})
}
