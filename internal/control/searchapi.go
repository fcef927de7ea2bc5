package control

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"indelible/internal/catalog"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// searching adds what is asked of many records. Lists are lines of JSON, the last of which says how it ended.
func searching(mux *http.ServeMux, r Searcher) {
	mux.HandleFunc("GET /api/search", func(w http.ResponseWriter, req *http.Request) {
		lines := newLines(w)
		sum, err := r.Search(req.Context(), queryOfRequest(req), func(h catalog.Hit) bool { return lines.write(hitLine{Hit: &h}) })
		lines.write(hitLine{Summary: &sum, Error: errorOf(err)})
	})
	mux.HandleFunc("GET /api/follow", func(w http.ResponseWriter, req *http.Request) {
		lines := newLines(w)
		lines.flush()
		err := r.Follow(req.Context(), expression(req), seqOf(req, "after"), func(h catalog.Hit) bool {
			return lines.write(hitLine{Hit: &h}) && lines.flush()
		})
		lines.write(hitLine{Summary: &catalog.SearchSummary{}, Error: errorOf(err)})
	})
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, req *http.Request) {
		expr := expression(req)
		sums, sum, err := r.Stats(req.Context(), catalog.StatsQuery{Expr: expr, By: req.Form["by"], Scan: req.FormValue("scan") != ""})
		answer(w, statsAnswer{sums, sum}, err)
	})
	mux.HandleFunc("GET /api/index", func(w http.ResponseWriter, req *http.Request) {
		st, err := r.Index(req.Context())
		answer(w, st, err)
	})
	mux.HandleFunc("GET /api/export", func(w http.ResponseWriter, req *http.Request) {
		lines := newLines(w)
		q := catalog.ExportQuery{Expr: expression(req), After: seqOf(req, "after"), Scan: req.FormValue("scan") != "", Sent: req.FormValue("sent") != ""}
		sum, err := r.Export(req.Context(), q, func(h catalog.Hit, body io.Reader) error {
			if !lines.write(hitLine{Hit: &h}) {
				return http.ErrAbortHandler
			}
			n, err := io.Copy(w, body) // Hit.Size bytes stand behind the line
			if err != nil || n != h.Size {
				panic(http.ErrAbortHandler) // cut the connection: a short body must not look whole
			}
			return nil
		})
		lines.write(hitLine{Summary: &sum, Error: errorOf(err)})
	})
}

func queryOfRequest(req *http.Request) catalog.Query {
	expr := expression(req)
	limit, _ := strconv.Atoi(req.FormValue("limit"))
	return catalog.Query{Expr: expr, Limit: max(0, limit), Scan: req.FormValue("scan") != ""}
}

// expression is the filter of a request: each "expr" is an argument of filter.Parse.
func expression(req *http.Request) []string {
	_ = req.ParseForm() // what cannot be read is not there
	return req.Form["expr"]
}

func seqOf(req *http.Request, name string) record.Seq {
	n, _ := strconv.ParseUint(req.FormValue(name), 10, 64)
	return record.Seq(n)
}

// hitLine is one line of a search: a call, or at the end the summary and what went wrong.
type hitLine struct {
	Hit     *catalog.Hit           `json:"hit,omitempty"`
	Summary *catalog.SearchSummary `json:"summary,omitempty"`
	Error   *apiError              `json:"error,omitempty"`
}

type statsAnswer struct {
	Sums    []index.Sum           `json:"sums"`
	Summary catalog.SearchSummary `json:"summary"`
}

// rebuildLine is one line of a rebuild's progress.
type rebuildLine struct {
	Done  record.Seq `json:"done"`
	Of    record.Seq `json:"of"`
	End   bool       `json:"end,omitempty"`
	Error *apiError  `json:"error,omitempty"`
}

// lines writes lines of JSON as they come.
type lines struct {
	enc  *json.Encoder
	ctrl *http.ResponseController
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lines{enc: enc, ctrl: http.NewResponseController(w)}
}

// write writes a line; false if the client has gone.
func (l *lines) write(v any) bool { return l.enc.Encode(v) == nil }

func (l *lines) flush() bool { return l.ctrl.Flush() == nil }
