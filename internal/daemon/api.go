package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"indelible/internal/record"
)

// Reader answers the command line's questions: a running daemon over its
// socket (Client), or the data directory and the destination themselves
// (Offline).
type Reader interface {
	Status(ctx context.Context) (Status, error)
	// Find describes the record of that name: a key, a stored key, a seq, a
	// receipt or an id in the key. bucket narrows it; "" is any. It fails with ErrNotFound.
	Find(ctx context.Context, bucket, name string) (Row, error)
	// Body is Find with the record's bytes, which the caller closes.
	Body(ctx context.Context, bucket, name string) (io.ReadCloser, error)
	// List yields the records of a bucket, or of all of them, whose keys start
	// with prefix, by bucket and key.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[Row, error]
	// Redrive brings quarantined and deferred records back into delivery, and
	// says how many.
	Redrive(ctx context.Context) (int, error)
	// Rotate changes the key that signs the log, and returns the new public one.
	Rotate(ctx context.Context) (vkey string, err error)
	Close() error
}

// ErrNotFound: there is no such record.
var ErrNotFound = errors.New("no such record")

// Row is one record as `ls` and `get --attrs` show it.
type Row struct {
	Seq    record.Seq   `json:"seq"` // 0 where it is not known
	Time   time.Time    `json:"time"`
	Door   string       `json:"door,omitempty"`
	Source string       `json:"source,omitempty"`
	Bucket string       `json:"bucket"`
	Key    string       `json:"key"`
	Stored string       `json:"stored_key,omitempty"` // where it differs from Key
	Size   int64        `json:"size"`
	SHA256 string       `json:"sha256,omitempty"`
	State  record.State `json:"state"`
	Reason string       `json:"reason,omitempty"` // why it was set aside
	// Attrs are headers, user metadata and what the door noted; only Find tells them.
	Attrs map[string]string `json:"attrs,omitempty"`
}

// api serves a Reader as JSON over HTTP.
func api(r Reader) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, req *http.Request) {
		s, err := r.Status(req.Context())
		answer(w, s, err)
	})
	mux.HandleFunc("GET /api/record", func(w http.ResponseWriter, req *http.Request) {
		row, err := r.Find(req.Context(), req.FormValue("bucket"), req.FormValue("name"))
		answer(w, row, err)
	})
	mux.HandleFunc("GET /api/body", func(w http.ResponseWriter, req *http.Request) {
		body, err := r.Body(req.Context(), req.FormValue("bucket"), req.FormValue("name"))
		if err != nil {
			answer(w, nil, err)
			return
		}
		defer func() { _ = body.Close() }()
		w.Header().Set("Content-Type", "application/octet-stream")
		if _, err := io.Copy(w, body); err != nil {
			panic(http.ErrAbortHandler) // cut the connection: a short body must not look whole
		}
	})
	mux.HandleFunc("GET /api/records", func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		enc := json.NewEncoder(w)
		for row, err := range r.List(req.Context(), req.FormValue("bucket"), req.FormValue("prefix")) {
			if err != nil {
				_ = enc.Encode(apiError{Error: err.Error()}) // the last line
				return
			}
			if enc.Encode(row) != nil {
				return // the client has gone
			}
		}
	})
	mux.HandleFunc("POST /api/redrive", func(w http.ResponseWriter, req *http.Request) {
		n, err := r.Redrive(req.Context())
		answer(w, redriven{n}, err)
	})
	mux.HandleFunc("POST /api/rotate", func(w http.ResponseWriter, req *http.Request) {
		vkey, err := r.Rotate(req.Context())
		answer(w, rotated{vkey}, err)
	})
	return mux
}

type apiError struct {
	Error string `json:"error"`
}

type rotated struct {
	VKey string `json:"vkey"`
}

type redriven struct {
	Redriven int `json:"redriven"`
}

// answer writes v, or err with the status that fits it.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, ErrNotFound) {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		v = apiError{Error: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}
