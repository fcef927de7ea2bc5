// Package proxy is the recording proxy: /<upstream>/... goes to the upstream of
// that name with the rest of the path, bytes as they are, and each call is recorded before
// the client can believe that it has its answer.
package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/awssign"
	"indelible/internal/recorder"
)

// Upstream is a server that calls go to.
type Upstream struct {
	Name     string
	URL      string // http(s)://host[:port][/base]
	Provider string // as capture names it; "" leaves it to the bytes
	KeyFile  string // holds the credential that is sent in place of the client's; "" passes the client's
	Header   string // where that goes: "authorization" (as Bearer), or a header's name; "" is authorization
	Sign     string // "aws": each request is signed with AWS credentials of this process, in place of the client's signature
	Region   string // of such a signature; "" is that of the URL's host, or of the environment
	Service  string // likewise; "" is bedrock
	Profile  string // of AWS's shared configuration
}

// Options are what a Door is made of.
type Options struct {
	Recorder  recorder.Options // Base and the hooks are set by New
	Upstreams []Upstream
	Tokens    []ingest.Token // who may call; none: everybody
	Pace      ingest.Pace    // how slowly a request's body may come; the zero Pace is ingest.DefaultPace
	Meter     *ingest.Meter
	Log       *slog.Logger
}

// MaxHeader is how long the head of a request may be.
const MaxHeader = 256 << 10

// TokenHeader carries one of Options.Tokens. It does not go to the upstream.
const TokenHeader = "X-Indelible-Token"

// Door passes and records calls. It is safe for concurrent use.
type Door struct {
	upstreams map[string]*upstream
	names     string
	tokens    *ingest.Tokens
	open      bool // no tokens
	pace      ingest.Pace
	base      *http.Transport
	recorder  *recorder.Recorder
	proxy     *httputil.ReverseProxy
	meter     *ingest.Meter
	log       *slog.Logger
	notices   ingest.Notices
}

// upstream is an Upstream that can be called.
type upstream struct {
	Upstream
	base   *url.URL
	key    string
	signer *awssign.Signer // nil without Sign
}

// New makes a door. It reads the key files and AWS's configuration, and starts nothing.
func New(o Options) (*Door, error) {
	d := &Door{
		upstreams: map[string]*upstream{}, open: len(o.Tokens) == 0, pace: cmp.Or(o.Pace, ingest.DefaultPace),
		meter: cmp.Or(o.Meter, new(ingest.Meter)), log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
	}
	d.tokens = ingest.NewTokens(o.Tokens, unauthorized())
	var names []string
	for _, u := range o.Upstreams {
		made, err := newUpstream(u)
		if err != nil {
			return nil, err
		}
		d.upstreams[u.Name] = made
		names = append(names, "/"+u.Name)
	}
	d.names = strings.Join(names, ", ")
	ro := o.Recorder
	d.base = newTransport()
	ro.Door, ro.Base, ro.Logger = doorName, signing{d.base}, d.log
	ro.Acked = d.meter.Ack
	ro.Lost = func(reason string) {
		if reason != "open" || ro.PassFull { // else the refusal is counted
			d.meter.Refuse("no_" + reason + "_record")
		}
	}
	var err error
	if d.recorder, err = recorder.New(ro); err != nil {
		return nil, err
	}
	d.proxy = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: d.recorder, FlushInterval: -1, BufferPool: &buffers{},
		ErrorHandler: d.failed, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
	}
	return d, nil
}

func newUpstream(u Upstream) (*upstream, error) {
	base, err := url.Parse(u.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("upstream %s: %q is no URL such as https://host/base", u.Name, u.URL)
	}
	made := &upstream{Upstream: u, base: base}
	if u.KeyFile != "" {
		b, err := os.ReadFile(u.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("upstream %s: read its key: %w", u.Name, err)
		}
		if made.key = strings.TrimSpace(string(b)); made.key == "" || strings.ContainsAny(made.key, "\r\n") {
			return nil, fmt.Errorf("upstream %s: %s must hold one line with the key", u.Name, u.KeyFile)
		}
	}
	if u.Sign != "" {
		if made.signer, err = awssign.New(context.Background(), awssign.Options{Region: u.Region, Service: u.Service, Profile: u.Profile, Host: base.Host}); err != nil {
			return nil, fmt.Errorf("upstream %s: %w", u.Name, err)
		}
	}
	return made, nil
}

// newTransport sends what it is given as it is: no compression of its own, no user agent,
// HTTP/2 where the upstream speaks it.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 1024, 256
	t.ForceAttemptHTTP2 = true
	t.ExpectContinueTimeout = 0
	t.MaxResponseHeaderBytes = 1 << 20
	return t
}

// Recorder records the door's calls; its owner recovers and closes it.
func (d *Door) Recorder() *recorder.Recorder { return d.recorder }

// Stats returns what the door's meter counted.
func (d *Door) Stats() ingest.Stats { return d.meter.Stats() }

// ServeHTTP passes one call.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.meter.Request()
	call, refusal := d.route(r)
	if refusal != nil {
		d.Refuse(w, r, refusal)
		return
	}
	if call.signer != nil {
		var err error
		if call.aws, err = call.signer.Credentials(r.Context()); err != nil {
			d.Refuse(w, r, noCredentials(err))
			return
		}
	}
	var body ingest.Body
	body.Init(w, r, d.pace)
	if !r.ProtoAtLeast(1, 1) {
		defer resetAborted(w)
	}
	d.proxy.ServeHTTP(&pacedWriter{ResponseWriter: w, control: http.NewResponseController(w)}, r.WithContext(withRoute(r.Context(), call)))
}

// resetAborted resets the connection of a client whose answer is being aborted. An HTTP/1.0 client
// takes the end of the connection for that of the answer, and would have a whole one.
func resetAborted(w http.ResponseWriter) {
	p := recover()
	if p == nil {
		return
	}
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		if t, ok := conn.(*tls.Conn); ok { // its end is not announced, which TLS clients tell from one that is
			conn = t.NetConn()
		}
		if t, ok := conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // Close then resets
		}
		_ = conn.Close() // the abort is all that is wanted
	}
	panic(p)
}

// Refuse implements ingest.Door.
func (d *Door) Refuse(w http.ResponseWriter, r *http.Request, e *ingest.Refusal) {
	e = e.WithCode("forbidden", "busy")
	d.meter.Refuse(e.Code)
	if log, missed := d.notices.Note(ingest.Host(r) + e.Code); log && (e.Status >= 500 || e.Cause != nil) {
		d.log.Warn("refused", "door", doorName, "from", ingest.Host(r), "code", e.Code, "cause", e.Cause, "more_in_the_minute_before", missed)
	}
	writeRefusal(w, e)
}

// failed answers a call that got no answer.
func (d *Door) failed(w http.ResponseWriter, r *http.Request, err error) {
	name := ""
	if to, ok := r.Context().Value(routeKey{}).(*route); ok {
		name = to.Name
	}
	d.Refuse(w, r, refusalOf(name, err))
}

// pacedWriter passes an answer on as it is, and ends clients that do not read: a write may last so long.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	moved   time.Time
}

const (
	writePause = 2 * time.Minute
	moveEvery  = 15 * time.Second
)

// WriteHeader implements http.ResponseWriter. What the upstream did not send is not added.
func (w *pacedWriter) WriteHeader(status int) {
	for _, name := range []string{"Content-Type", "Date"} {
		if h := w.Header(); h[name] == nil && status >= 200 {
			h[name] = nil
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (w *pacedWriter) Write(p []byte) (int, error) {
	if now := time.Now(); now.Sub(w.moved) > moveEvery {
		w.moved = now
		_ = w.control.SetWriteDeadline(now.Add(writePause)) // not supported: no server, no slow client
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// errNotFound is not an error of a call.
var errNotFound = errors.New("no such upstream")
