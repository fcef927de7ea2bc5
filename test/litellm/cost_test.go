package litellm_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"indelible/internal/testserver"
)

// TestCost compares, call by call in turns, a proxy whose answers wait for the
// fsync with one that has s3_v2 installed.
func TestCost(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	strict := newProxy(t, python, ours, "INDELIBLE_URL=http://"+h.door)
	base := newProxy(t, python, plain(s3.Endpoint, s3))
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{Proxy: nil}}
	t.Cleanup(client.CloseIdleConnections)
	for _, kind := range []int{0, 1} { // of kinds: chat and stream
		took := map[*proxy][]time.Duration{}
		for n := range 500 {
			for _, p := range []*proxy{strict, base} {
				l := &load{proxy: p, ids: map[string]string{}}
				begun := time.Now()
				if err := l.call(client, kind); err != nil {
					t.Fatal(err)
				}
				if len(l.ids) != 1 {
					t.Fatalf("%q", l.odd)
				}
				if n >= 50 { // warm
					took[p] = append(took[p], time.Since(begun))
				}
			}
		}
		p50 := func(p *proxy) time.Duration {
			slices.Sort(took[p])
			return took[p][len(took[p])/2]
		}
		more := p50(strict) - p50(base)
		t.Logf("%s: p50 %.2f ms with the callback, %.2f ms with s3_v2: %+.2f ms", kinds[kind].name,
			p50(strict).Seconds()*1e3, p50(base).Seconds()*1e3, more.Seconds()*1e3)
		if more > 5*time.Millisecond { // the aim is 2 ms; this machine may be busy
			t.Errorf("%s: %s more", kinds[kind].name, more)
		}
	}
}
