// Package ingest is what all doors share: what they need from the spool, who
// sends (Sender), how a body is read (Body, Memory), how a request is refused
// (Refusal), what is counted (Meter), and the server around a door (Server),
// which bounds connections and keeps out what browsers can be made to send
// (Guard). Each door is a package below it.
package ingest

import (
	"context"
	"net"
	"net/http"

	"indelible/internal/record"
)

// Appender makes records durable. *spool.Spool is one.
type Appender interface {
	// Append returns once the record is fsynced: its receipt is the
	// acknowledgement. The same bytes under the same bucket and key as a record
	// that is still known, or still on its way to the disk, get that record's
	// receipt, with Resent set. When there is no room it holds until there is
	// or ctx ends, and then fails with record.ErrPushback. After any error the
	// record is not acked; it may still be delivered only if the error is ctx's own.
	Append(ctx context.Context, r record.Record) (record.Receipt, error)
}

// Door is an http.Handler that takes records.
type Door interface {
	http.Handler
	// Refuse answers a request that the server around the door turned away, in
	// the door's own words: a refusal without a Code gets one from its Status.
	Refuse(w http.ResponseWriter, r *http.Request, e *Refusal)
}

// Host is the address that a request came from, without its port.
func Host(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
