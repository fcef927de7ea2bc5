package control

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"strings"

	"indelible/internal/ingest"
)

// Admin is the operators' listener: health and metrics, and the API for those who
// have a token. Reading and operating are two permissions.
type Admin struct {
	// Configured says that the tokens were configured, and not made: then metrics
	// need one, too, and any Host is answered.
	Configured bool
	ReadToken  string // may read the API; "": nobody may
	OpToken    string // may read and operate; "": operating takes the socket
	Metrics    http.Handler
	// Ready says whether the daemon takes records, and why not, or what else is wrong.
	Ready func() (ok bool, why string)
}

// Handler serves s.
func (a *Admin) Handler(s Service) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", a.readyz)
	metrics := a.local(a.Metrics)
	if a.Configured {
		metrics = allow(a.Metrics, a.ReadToken, a.OpToken)
	}
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /api/", a.local(allow(reading(s), a.ReadToken, a.OpToken)))
	mux.Handle("POST /api/", a.local(allow(operating(s), a.OpToken)))
	mux.Handle("GET /{$}", http.HandlerFunc(front))
	return mux
}

func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	ok, why := a.Ready()
	if !ok {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	if why != "" {
		why = "but: " + why + "\n"
	}
	_, _ = io.WriteString(w, "ready\n"+why)
}

// front says where things are.
func front(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "indelible "+Version().Version+"\n\n/healthz      200 while the process lives\n/readyz       200 while the doors take records\n/metrics      for Prometheus\n/api/status   with \"Authorization: Bearer <admin.token>\": what was acked, stored and is pending\n")
}

// local keeps out the pages of this machine's browsers: those that send what is
// no read, and, where no token was configured, those that reach us by a name of
// their own.
func (a *Admin) local(next http.Handler) http.Handler {
	return (&ingest.Guard{Open: !a.Configured}).Handler(next)
}

// allow lets in whoever has one of the tokens; "" is none.
func allow(next http.Handler, tokens ...string) http.Handler {
	var want [][sha256.Size]byte
	for _, t := range tokens {
		if t != "" {
			want = append(want, sha256.Sum256([]byte(t)))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(want) == 0 {
			http.Error(w, "this takes the command line on this machine, or a token that is configured: admin.operator_token", http.StatusForbidden)
			return
		}
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(token)) // equal lengths, so that the comparison takes equal time
		ok := 0
		for _, w := range want {
			ok |= subtle.ConstantTimeCompare(got[:], w[:])
		}
		if !strings.EqualFold(scheme, "Bearer") || ok != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="indelible"`)
			http.Error(w, "want the header \"Authorization: Bearer TOKEN\": admin.token to read, admin.operator_token to operate; a token that nobody configured is in <data>/"+TokenFile, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
