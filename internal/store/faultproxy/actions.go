package faultproxy

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

// hijack takes the connection over; a handler that may not (HTTP/2) is ended by panic.
func hijack(w http.ResponseWriter) net.Conn {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

// reset ends the connection with a TCP RST instead of an answer.
func reset(w http.ResponseWriter) {
	conn := hijack(w)
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// hang waits for the client to go away.
func hang(r *http.Request) {
	io.Copy(io.Discard, r.Body) // only behind the body can the server see that the client left
	<-r.Context().Done()
}

func (p *Proxy) resetMidBody(_ Rule, w http.ResponseWriter, r *http.Request) {
	io.CopyN(io.Discard, r.Body, max(r.ContentLength, 0)/2)
	reset(w)
}

func (p *Proxy) noAnswer(_ Rule, _ http.ResponseWriter, r *http.Request) {
	hang(r)
	panic(http.ErrAbortHandler)
}

// do lets the server do what was asked and throws its answer away.
func (p *Proxy) do(r *http.Request) {
	resp, err := p.forward(r)
	if err != nil {
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}

func (p *Proxy) storedThen500(_ Rule, w http.ResponseWriter, r *http.Request) {
	p.do(r)
	answers[Internal].write(w)
}

func (p *Proxy) storedThenReset(_ Rule, w http.ResponseWriter, r *http.Request) {
	p.do(r)
	reset(w)
}

func (p *Proxy) storedThenNoAnswer(_ Rule, _ http.ResponseWriter, r *http.Request) {
	p.do(r)
	hang(r)
	panic(http.ErrAbortHandler)
}

func (p *Proxy) storedThenStall(_ Rule, w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r)
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	size := max(resp.ContentLength, 0)
	maps.Copy(w.Header(), resp.Header)
	w.Header().Set("Content-Length", fmt.Sprint(size+1)) // there is always one more byte to come
	w.WriteHeader(resp.StatusCode)
	io.CopyN(w, resp.Body, size/2)
	http.NewResponseController(w).Flush()
	hang(r)
	panic(http.ErrAbortHandler)
}

func (p *Proxy) wrongChecksum(_ Rule, w http.ResponseWriter, r *http.Request) {
	p.pass(w, r, func(resp *http.Response) {
		resp.Header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32)))
	})
}

func (p *Proxy) noETag(_ Rule, w http.ResponseWriter, r *http.Request) {
	p.pass(w, r, func(resp *http.Response) { resp.Header.Del("ETag") })
}

func (p *Proxy) slowAnswer(rule Rule, w http.ResponseWriter, r *http.Request) {
	p.pass(w, r, func(*http.Response) {
		select {
		case <-time.After(cmp.Or(rule.Delay, time.Second)):
		case <-r.Context().Done():
		}
	})
}

func (p *Proxy) slowBandwidth(rule Rule, w http.ResponseWriter, r *http.Request) {
	rate := cmp.Or(rule.Rate, 64<<10)
	r.Body = slowed{r.Body, rate}
	p.pass(w, r, func(resp *http.Response) { resp.Body = slowed{resp.Body, rate} })
}

func (p *Proxy) cutAnswer(_ Rule, w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r)
	if err != nil {
		reset(w)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	io.CopyN(w, resp.Body, max(resp.ContentLength, 0)/2)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// slowed is a body that comes at rate bytes a second.
type slowed struct {
	io.ReadCloser
	rate int
}

func (s slowed) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), max(s.rate/10, 1))])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	return n, err
}
