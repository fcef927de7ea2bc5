package s3api

import (
	"log/slog"
	"net/http"
	"time"

	"indelible/internal/record"
)

// Server returns a server for a door, with the limits that keep slow and hostile
// clients from holding its connections. It listens to nothing yet.
//
// Connections are kept open for longer than the clients' pools keep them, so
// that the client is the one who closes: a request sent into a connection that
// we just closed is a record that older LiteLLMs lose.
func Server(d *Door, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           d,
		Protocols:         &protocols,
		ReadHeaderTimeout: 20 * time.Second,
		// No ReadTimeout: the door bounds how slowly a body may come, and moves the
		// write deadline on with long ones.
		WriteTimeout: 2 * time.Minute,
		IdleTimeout:  10 * time.Minute,
		// A key takes three bytes of the request line for each of its own.
		MaxHeaderBytes:               4*record.MaxKey + record.MaxAttrs,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
