package daemon

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"indelible/internal/config"
)

// admin is the operators' listener. Health needs no token, so that probes need
// none; everything else does where one is configured.
type admin struct {
	token string
	ready atomic.Bool // the doors take records
}

func (a *admin) handler(r Reader, metrics prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.Handle("GET /metrics", a.guard(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	mux.Handle("/api/", a.guard(api(r)))
	mux.Handle("GET /{$}", http.HandlerFunc(a.front))
	return mux
}

func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if !a.ready.Load() {
		http.Error(w, "the doors take no records now", http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

// front says where things are.
func (a *admin) front(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "indelible "+Version().Version+"\n\n/api/status   what was acked, stored and is pending\n/metrics      for Prometheus\n/healthz      200 while the process lives\n/readyz       200 while the doors take records\n")
}

// guard asks for the token, where there is one. Where there is none only this
// machine is let in, and not the pages that its browsers show: those that
// reach us by a name of their own, or send what is no read.
func (a *admin) guard(next http.Handler) http.Handler {
	if a.token == "" {
		var same http.CrossOriginProtection
		next = same.Handler(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !config.IsLoopback(r.Host) && !config.IsLoopback(net.JoinHostPort(strings.Trim(r.Host, "[]"), "0")) {
				http.Error(w, "without admin.token, this answers only to 127.0.0.1 and localhost", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	want := sha256.Sum256([]byte(a.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(token)) // equal lengths, so that the comparison takes equal time
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="indelible"`)
			http.Error(w, "want the header \"Authorization: Bearer <admin.token>\"", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
