package ingest

import (
	"net/http"
	"time"
)

// Patience bounds how slowly a sender may send a body, by deadlines on its
// connection: it must not pause for longer than Pause, and come with Rate
// bytes a second after the first Pause. It belongs to the goroutine that
// reads the body.
type Patience struct {
	Conn  *http.ResponseController
	Pause time.Duration
	Rate  int64 // bytes a second

	started  time.Time // of the first read
	deadline time.Time // set on the connection; zero for none
}

// Extend moves the deadlines of the connection on, before a read, when n bytes
// have come. Both are absolute: what is allowed follows from how much has
// come, so a sender cannot buy time with single bytes.
func (p *Patience) Extend(n int64) {
	now := time.Now()
	if p.started.IsZero() {
		p.started = now
	}
	limit := p.started.Add(p.Pause + time.Duration(float64(n)/float64(p.Rate)*float64(time.Second)))
	if pause := now.Add(p.Pause); pause.Before(limit) {
		limit = pause
	}
	if late := limit.Sub(p.deadline); late < time.Second && late > -time.Second {
		return
	}
	if !p.deadline.IsZero() {
		// A long body: the time to write the answer begins when it ends.
		_ = p.Conn.SetWriteDeadline(limit.Add(time.Minute)) // not supported: no server, no slow sender
	}
	p.deadline = limit
	_ = p.Conn.SetReadDeadline(limit)
}

// Clear takes the deadline back: from now on a read of the connection only
// waits for the next request.
func (p *Patience) Clear() {
	if !p.deadline.IsZero() {
		p.deadline = time.Time{}
		_ = p.Conn.SetReadDeadline(time.Time{})
	}
}
