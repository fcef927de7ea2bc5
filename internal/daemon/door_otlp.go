package daemon

import (
	"net/http"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/otlpapi"
)

// otlpDoor makes the door beside the JSON door, at the same listener: with its tokens, and out of one budget of memory.
func (d *daemon) otlpDoor(bodies *ingest.Bodies) (ingest.Door, error) {
	c := d.config.Doors.HTTP
	d.otlp = d.newMeter()
	return otlpapi.New(otlpapi.Options{
		Spool: d.recent, Bodies: bodies, Tokens: tokensOf(c.Tokens), Bucket: c.Bucket, KeepOther: c.OTLP.Other == "keep",
		MaxHold: min(time.Duration(c.MaxHold), otlpapi.DefaultMaxHold), Meter: d.otlp, Log: d.log.With("component", "otlpapi"),
	})
}

// httpDoors are the doors behind the HTTP listener.
type httpDoors struct{ json, otlp ingest.Door }

func (d *httpDoors) of(r *http.Request) ingest.Door {
	if otlpapi.Serves(r) {
		return d.otlp
	}
	return d.json
}

// ServeHTTP is http.Handler's. It redirects nothing: exporters take a redirect for a success.
func (d *httpDoors) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.of(r).ServeHTTP(w, r) }

// Refuse is ingest.Door's.
func (d *httpDoors) Refuse(w http.ResponseWriter, r *http.Request, e *ingest.Refusal) {
	d.of(r).Refuse(w, r, e)
}
