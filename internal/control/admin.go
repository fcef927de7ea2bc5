package control

import (
	"io"
	"net/http"

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
	// Page is the dashboard's page and what belongs to it, without any data: nil has none.
	Page http.Handler
	// Live and Views are what the dashboard shows beyond a Reader; Live's Run must run. nil has none.
	Live  *Live
	Views Views
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
		metrics = a.allow(toRead, a.Metrics)
	}
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /api/", a.local(a.allow(toRead, reading(s))))
	mux.Handle("POST /api/", a.local(a.allow(toOperate, operating(s))))
	mux.Handle("GET /api/session", a.local(a.allow(toRead, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := a.permission(r)
		a.whoami(w, p)
	}))))
	mux.Handle("POST /api/session", a.local(http.HandlerFunc(a.login)))
	mux.Handle("DELETE /api/session", a.local(http.HandlerFunc(logout)))
	if a.Live != nil && a.Views != nil {
		views := viewing(a.Views)
		mux.Handle("GET /api/live", a.local(a.allow(toRead, a.Live)))
		for _, path := range []string{"/api/parked", "/api/proof"} {
			mux.Handle("GET "+path, a.local(a.allow(toRead, views)))
		}
	}
	if a.Page != nil {
		mux.Handle("GET /", a.local(a.Page))
	}
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

// local keeps out the pages of this machine's browsers: those that send what is
// no read, and, where no token was configured, those that reach us by a name of
// their own.
func (a *Admin) local(next http.Handler) http.Handler {
	return (&ingest.Guard{Open: !a.Configured}).Handler(next)
}
