package control

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/engine"
	"indelible/internal/record"
)

// reading serves a Reader as JSON over HTTP.
func reading(r Reader) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, req *http.Request) {
		s, err := r.Status(req.Context())
		answer(w, s, err)
	})
	mux.HandleFunc("GET /api/record", func(w http.ResponseWriter, req *http.Request) {
		found, err := r.Find(req.Context(), refOf(req))
		answer(w, found, err)
	})
	mux.HandleFunc("GET /api/body", func(w http.ResponseWriter, req *http.Request) {
		found, body, err := r.Open(req.Context(), refOf(req))
		if err != nil {
			answer(w, nil, err)
			return
		}
		defer func() { _ = body.Close() }()
		w.Header().Set("Content-Type", "application/octet-stream")
		if about, err := json.Marshal(found); err == nil {
			w.Header().Set(foundHeader, string(about)) // JSON has no line breaks
		}
		if _, err := io.Copy(w, body); err != nil {
			panic(http.ErrAbortHandler) // cut the connection: a short body must not look whole
		}
	})
	mux.HandleFunc("GET /api/records", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		limit, _ := strconv.Atoi(req.FormValue("limit"))
		enc := json.NewEncoder(w)
		o := catalog.ListOptions{Bucket: req.FormValue("bucket"), Prefix: req.FormValue("prefix"), Limit: max(0, limit), State: record.State(req.FormValue("state"))}
		for name, at := range map[string]*time.Time{"since": &o.Since, "until": &o.Until} {
			if err := at.UnmarshalText([]byte(req.FormValue(name))); err != nil && req.FormValue(name) != "" {
				http.Error(w, name+": want a time in RFC 3339", http.StatusBadRequest)
				return
			}
		}
		sum, err := r.List(req.Context(), o, func(row catalog.Row) bool {
			return enc.Encode(listLine{Row: &row}) == nil // else the client has gone
		})
		_ = enc.Encode(listLine{Summary: &sum, Error: errorOf(err)}) // the last line
	})
	searching(mux, r)
	return mux
}

// operating serves an Operator as JSON over HTTP.
func operating(o Operator) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/redrive", func(w http.ResponseWriter, req *http.Request) {
		n, err := o.Redrive(req.Context())
		answer(w, redriven{n}, err)
	})
	mux.HandleFunc("POST /api/expire", func(w http.ResponseWriter, req *http.Request) {
		lines := newLines(w)
		x, err := o.Expire(req.Context(), req.FormValue("dry") != "", func(done, of record.Seq) {
			lines.write(expireLine{Done: done, Of: of})
			lines.flush()
		})
		lines.write(expireLine{Expired: &x, Error: errorOf(err)})
	})
	mux.HandleFunc("POST /api/rotate", func(w http.ResponseWriter, req *http.Request) {
		vkey, err := o.Rotate(req.Context())
		answer(w, rotated{vkey}, err)
	})
	mux.HandleFunc("POST /api/rebuild", func(w http.ResponseWriter, req *http.Request) {
		lines := newLines(w)
		err := o.Rebuild(req.Context(), func(done, of record.Seq) { lines.write(rebuildLine{Done: done, Of: of}); lines.flush() })
		lines.write(rebuildLine{End: true, Error: errorOf(err)})
	})
	return mux
}

// API is all of it, for the socket: who can open that may do everything.
func API(s Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /api/", reading(s))
	mux.Handle("POST /api/", operating(s))
	return mux
}

func refOf(req *http.Request) catalog.Ref {
	return catalog.Ref{Kind: catalog.Kind(req.FormValue("kind")), Name: req.FormValue("name"), Bucket: req.FormValue("bucket")}
}

// foundHeader holds the catalog.Found of a body, as JSON.
const foundHeader = "X-Indelible-Record"

// listLine is one line of a list: a record, or at the end the summary and what went wrong.
type listLine struct {
	Row     *catalog.Row     `json:"row,omitempty"`
	Summary *catalog.Summary `json:"summary,omitempty"`
	Error   *apiError        `json:"error,omitempty"`
}

// expireLine is one line of a removal by policy: how far it is, or at the end what it did and what went wrong.
type expireLine struct {
	Done    record.Seq      `json:"done,omitempty"`
	Of      record.Seq      `json:"of,omitempty"`
	Expired *engine.Expired `json:"expired,omitempty"`
	Error   *apiError       `json:"error,omitempty"`
}

type rotated struct {
	VKey string `json:"vkey"`
}

type redriven struct {
	Redriven int `json:"redriven"`
}

// apiError is an error that keeps its type on its way to the client.
type apiError struct {
	Error      string        `json:"error"`
	Kind       string        `json:"kind,omitempty"`
	Name       string        `json:"name,omitempty"`
	Candidates []catalog.Row `json:"candidates,omitempty"`
}

const (
	kindNotFound  = "not found"
	kindAmbiguous = "ambiguous"
	kindAway      = "away"
)

func errorOf(err error) *apiError {
	if err == nil {
		return nil
	}
	e := &apiError{Error: err.Error()}
	if ambiguous, ok := errors.AsType[*catalog.AmbiguousError](err); ok {
		e.Kind, e.Name, e.Candidates = kindAmbiguous, ambiguous.Name, ambiguous.Candidates
	} else if away, ok := errors.AsType[*catalog.AwayError](err); ok {
		e.Kind, e.Error = kindAway, away.Cause.Error()
	} else if errors.Is(err, catalog.ErrNotFound) {
		e.Kind = kindNotFound
	}
	return e
}

// err is the error that errorOf was given, as far as its type matters.
func (e *apiError) err() error {
	switch {
	case e == nil:
		return nil
	case e.Kind == kindAmbiguous:
		return &catalog.AmbiguousError{Name: e.Name, Candidates: e.Candidates}
	case e.Kind == kindAway:
		return &catalog.AwayError{Cause: errors.New(e.Error)}
	case e.Kind == kindNotFound:
		return &remoteError{e.Error, catalog.ErrNotFound}
	}
	return errors.New(e.Error)
}

// remoteError has the text of an error in the daemon, and what it wraps.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }

// Unwrap is what it wraps.
func (e *remoteError) Unwrap() error { return e.is }

// answer writes v, or err with the status that fits it.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if e := errorOf(err); e != nil {
		code := http.StatusInternalServerError
		switch e.Kind {
		case kindNotFound:
			code = http.StatusNotFound
		case kindAmbiguous:
			code = http.StatusConflict
		case kindAway:
			code = http.StatusServiceUnavailable
		}
		writeError(w, code, e)
		return
	}
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}

func writeError(w http.ResponseWriter, code int, e *apiError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(e) // an error here is a client that has gone
}
