package otlp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"indelible/internal/torture/driver"
)

// kills is how often the daemon is killed.
const kills = 10

// The daemon is killed with -9 again and again while exporters send: every span whose request was answered is in the bucket in the end, once.
func TestKilled(t *testing.T) {
	need(t)
	dir := t.TempDir()
	s := newServe(t, dir, driver.Build(t))
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	var (
		serial atomic.Uint64
		door   atomic.Value // the address
		mu     sync.Mutex
		acked  = map[string]bool{} // by call id
		wg     sync.WaitGroup
		end    = make(chan struct{})
	)
	door.Store(s.At.HTTP)
	for range 8 {
		wg.Go(func() {
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			for {
				select {
				case <-end:
					return
				default:
				}
				body, ids := spans(t, &serial, 5)
				resp, err := client.Post("http://"+door.Load().(string)+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
				if err != nil {
					time.Sleep(5 * time.Millisecond) // it is dead at the moment
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					mu.Lock()
					for _, id := range ids {
						acked[id] = true
					}
					mu.Unlock()
				}
			}
		})
	}
	for range kills {
		time.Sleep(300 * time.Millisecond)
		s.Kill()
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		door.Store(s.At.HTTP)
	}
	time.Sleep(300 * time.Millisecond)
	close(end)
	wg.Wait()
	if err := s.Proven(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, r := range records(t, filepath.Join(s.Data, "store")) {
		found[r.CallID]++
	}
	lost := 0
	for id := range acked {
		if found[id] != 1 {
			lost++
		}
	}
	if lost > 0 || len(acked) < 100 {
		t.Errorf("%d of %d answered spans are not in the bucket once", lost, len(acked))
	}
	t.Logf("%d answered spans over %d kills, %d in the bucket", len(acked), kills, len(found))
}

// spans is a request with n spans that no other has, and their ids.
func spans(t *testing.T, serial *atomic.Uint64, n int) (body []byte, ids []string) {
	group := &trace.ScopeSpans{}
	for range n {
		id := binary.BigEndian.AppendUint64([]byte("exporter"), serial.Add(1))
		s := &trace.Span{TraceId: id, SpanId: id[8:], Name: "chat", StartTimeUnixNano: uint64(time.Now().UnixNano()), Attributes: []*common.KeyValue{
			{Key: "gen_ai.request.model", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "m"}}},
		}}
		group.Spans = append(group.Spans, s)
		ids = append(ids, hex.EncodeToString(s.TraceId)+"-"+hex.EncodeToString(s.SpanId))
	}
	body, err := proto.Marshal(&trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{ScopeSpans: []*trace.ScopeSpans{group}}}})
	if err != nil {
		t.Error(err)
	}
	return body, ids
}
