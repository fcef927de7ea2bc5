// Package ingest is what all doors share: the one thing they need from the
// spool, and the bounds for senders that are too slow. Each door is a package
// below it.
package ingest

import (
	"context"

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
