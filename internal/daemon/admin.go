package daemon

import (
	"fmt"
	"net/http"

	"indelible/internal/control"
	"indelible/internal/local"
	"indelible/internal/setup"
	"indelible/internal/web"
)

// adminHandler serves the admin listener. Where no token is configured, one is made
// at the first start.
func (d *daemon) adminHandler(s control.Service) (http.Handler, error) {
	c := d.config
	a := &control.Admin{
		Configured: c.Admin.Token.IsSet() || c.Admin.OperatorToken.IsSet(), ReadToken: c.Admin.Token.Reveal(), OpToken: c.Admin.OperatorToken.Reveal(),
		Metrics: d.metrics.Handler(),
		Ready:   d.readiness,
		Page:    web.Handler(),
		Live:    d.live,
		Views:   local.Views{Records: d.recent, VKey: func() (string, error) { return setup.VKey(c, "") }},
	}
	if !c.Admin.Token.IsSet() {
		token, err := control.MadeToken(d.engine.Data(), c.Data, d.log)
		if err != nil {
			return nil, err
		}
		a.ReadToken, d.madeToken = token, token
	}
	return a.Handler(s), nil
}

// readiness says whether the doors take records, and what is wrong.
func (d *daemon) readiness() (ok bool, why string) {
	if !d.ready.Load() {
		return false, "the doors take no records now"
	}
	disk, err := d.disk.Status(&d.engine.Components)
	if err != nil {
		return true, err.Error()
	}
	switch disk.State {
	case control.DiskReadOnly, control.DiskFull, control.DiskInodes:
		return false, fmt.Sprintf("the disk is %s: %s", disk.State, disk.Reason)
	case control.DiskFailing:
		return disk.WriteError == "", fmt.Sprintf("the disk is failing: %s", disk.Reason)
	}
	return true, ""
}
