package jsonapi

import (
	"log/slog"
	"net/http"
	"time"
)

// Server returns a server for the JSON door, or for a handler that has it among
// others, with the limits that keep slow and hostile clients from holding its
// connections. It listens to nothing yet.
//
// Connections are kept open for longer than the clients' pools keep them, so
// that the client is the one who closes: a request sent into a connection that
// we just closed is one that LiteLLM's generic_api loses.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		Protocols:         &protocols,
		ReadHeaderTimeout: 20 * time.Second,
		// No ReadTimeout: the door bounds how slowly a body may come, and moves the
		// write deadline on with long ones.
		WriteTimeout:                 2 * time.Minute,
		IdleTimeout:                  10 * time.Minute,
		MaxHeaderBytes:               64 << 10,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
