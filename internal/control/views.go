package control

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"indelible/internal/catalog"
	"indelible/internal/proof"
	"indelible/internal/record"
)

// Views are what the dashboard asks for beyond a Reader. Implementations are safe for
// concurrent use.
type Views interface {
	// Recent are the records that were acknowledged last since the daemon started, newest first.
	Recent() []catalog.Row
	// Parked are records that were parked, at most limit of them.
	Parked(ctx context.Context, limit int) ([]catalog.Row, error)
	// Prove makes the proof of a record, and tells the public key that this daemon knows
	// for the log. It fails with proof.ErrUnproven where there is none yet.
	Prove(ctx context.Context, seq record.Seq) (p *proof.OfflineProof, vkey string, err error)
}

// maxParked bounds how many parked records the dashboard shows.
const maxParked = 200

const kindUnproven = "unproven"

// provenRecord is a proof as a C2SP tlog-proof, and the key to check it with. A browser
// that has another key from elsewhere takes that.
type provenRecord struct {
	Proof string `json:"proof"`
	VKey  string `json:"vkey"`
}

// viewing serves Views as JSON over HTTP.
func viewing(v Views) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/parked", func(w http.ResponseWriter, req *http.Request) {
		rows, err := v.Parked(req.Context(), maxParked)
		if rows == nil {
			rows = []catalog.Row{}
		}
		answer(w, rows, err)
	})
	mux.HandleFunc("GET /api/proof", func(w http.ResponseWriter, req *http.Request) {
		seq, err := strconv.ParseUint(req.FormValue("seq"), 10, 64)
		if err != nil || seq == 0 {
			http.Error(w, "want seq=N, the number of a record", http.StatusBadRequest)
			return
		}
		p, vkey, err := v.Prove(req.Context(), record.Seq(seq))
		if errors.Is(err, proof.ErrUnproven) {
			writeError(w, http.StatusConflict, &apiError{Error: "the checkpoint in the bucket does not cover it yet: try again in a minute", Kind: kindUnproven})
			return
		}
		if err != nil {
			answer(w, nil, err)
			return
		}
		answer(w, provenRecord{string(p.Encode()), vkey}, nil)
	})
	return mux
}
