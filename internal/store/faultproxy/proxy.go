package faultproxy

import (
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Proxy is the handler in front of the server. It is safe for concurrent use.
type Proxy struct {
	target    *url.URL
	transport *http.Transport
	born      time.Time

	mu       sync.Mutex
	rules    []rule         // guarded by mu
	rng      *rand.Rand     // guarded by mu
	injected map[Fault]int  // guarded by mu
	requests map[string]int // by method; guarded by mu
}

// rule is a Rule and how often it matched and showed.
type rule struct {
	Rule
	matched, shown int
}

// New makes a proxy in front of target. Of the rules that apply to a request, the first shows.
func New(target *url.URL, seed uint64, rules ...Rule) *Proxy {
	p := &Proxy{
		target:    target,
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, ExpectContinueTimeout: time.Second},
		born:      time.Now(),
		rng:       rand.New(rand.NewPCG(seed, 0)),
		injected:  map[Fault]int{},
		requests:  map[string]int{},
	}
	p.Set(rules...)
	return p
}

// Set replaces the rules. What was counted stays; windows of time still count from New.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = p.rules[:0]
	for _, r := range rules {
		p.rules = append(p.rules, rule{Rule: r})
	}
}

// Injected is how often each fault showed.
func (p *Proxy) Injected() map[Fault]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.injected)
}

// Requests is how many requests came, by method, faults or not.
func (p *Proxy) Requests() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.requests)
}

// Close lets go of the connections to the server.
func (p *Proxy) Close() { p.transport.CloseIdleConnections() }

// next is the rule that shows in a request of method, if any.
func (p *Proxy) next(method string) (Rule, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[method]++
	since := time.Since(p.born)
	for i := range p.rules {
		r := &p.rules[i]
		if r.Fault == Refused || !r.about(method) || !r.during(since) {
			continue
		}
		r.matched++
		if r.matched <= r.Skip || r.Count > 0 && r.shown >= r.Count || r.Percent > 0 && p.rng.Float64()*100 >= r.Percent {
			continue
		}
		r.shown++
		p.injected[r.Fault]++
		return r.Rule, true
	}
	return Rule{}, false
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule, ok := p.next(r.Method)
	if !ok {
		p.pass(w, r, nil)
		return
	}
	if act, ok := actions[rule.Fault]; ok {
		act(p, rule, w, r)
		return
	}
	io.Copy(io.Discard, r.Body) // as S3 does, so that the connection can be used again
	if rule.Fault == Skewed {
		w.Header().Set("Date", time.Now().Add(40*time.Minute).UTC().Format(http.TimeFormat))
	}
	answers[rule.Fault].write(w)
}

// forward sends the request on, as it came.
func (p *Proxy) forward(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host // Host, which is signed, stays
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Transfer-Encoding", "Upgrade"} {
		out.Header.Del(name)
	}
	return p.transport.RoundTrip(out)
}

// pass relays the server's answer, after change (if any) had its way with it.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, change func(*http.Response)) {
	resp, err := p.forward(r)
	if err != nil {
		reset(w) // as if there were no proxy
		return
	}
	defer resp.Body.Close()
	if change != nil {
		change(resp)
	}
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
