package daemon

import (
	"fmt"
	"net/http"

	"indelible/internal/control"
)

// adminHandler serves the admin listener. Where no token is configured, one is made
// at the first start.
func (d *daemon) adminHandler(s control.Service) (http.Handler, error) {
	c := d.config.Admin
	a := &control.Admin{
		Configured: c.Token != "" || c.OperatorToken != "", ReadToken: c.Token, OpToken: c.OperatorToken,
		Metrics: d.metrics.Handler(),
		Ready:   d.readiness,
	}
	if c.Token == "" {
		token, err := control.MadeToken(d.engine.Data(), d.config.Data, d.log)
		if err != nil {
			return nil, err
		}
		a.ReadToken = token
	}
	return a.Handler(s), nil
}

// readiness says whether the doors take records, and what is wrong.
func (d *daemon) readiness() (ok bool, why string) {
	if !d.ready.Load() {
		return false, "the doors take no records now"
	}
	disk, err := d.disk.status(&d.engine.Components)
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
