package daemon

import (
	"errors"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"indelible/internal/control"
)

// adminHandler serves the admin listener. Where no token is configured, one is made
// at the first start.
func (d *daemon) adminHandler(s control.Service) (http.Handler, error) {
	c := d.config.Admin
	a := &control.Admin{
		Configured: c.Token != "" || c.OperatorToken != "", ReadToken: c.Token, OpToken: c.OperatorToken,
		Metrics: promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{}),
		Ready:   d.readiness,
	}
	if c.Token == "" {
		token, err := control.MadeToken(d.engine.Data(), d.config.Data)
		if err != nil {
			return nil, err
		}
		a.ReadToken = token
	}
	return a.Handler(s), nil
}

var errNotReady = errors.New("the doors take no records now")

// readiness is why the daemon is not ready, or nil.
func (d *daemon) readiness() error {
	if !d.ready.Load() {
		return errNotReady
	}
	return nil
}
