package spool

import (
	"log/slog"
	"sync"
	"time"

	"indelible/internal/record"
)

// alarmEvery is the least time between two log lines about failed reads.
const alarmEvery = time.Minute

// maxUnread bounds how many unreadable records are told apart.
const maxUnread = 1 << 16

// readHealth counts the reads that the disk failed, and says so once instead of
// once a read. It is safe for concurrent use.
type readHealth struct {
	log *slog.Logger

	mu     sync.Mutex
	errors uint64                  // failed reads; guarded by mu
	last   error                   // the newest of them; guarded by mu
	said   time.Time               // when the log last had a line; guarded by mu
	unread map[record.Seq]struct{} // records that could not be read at the last try; guarded by mu
}

func newReadHealth(log *slog.Logger) *readHealth {
	return &readHealth{log: log, unread: map[record.Seq]struct{}{}}
}

// failed counts one failed read.
func (h *readHealth) failed(err error) {
	h.mu.Lock()
	h.errors++
	h.last = err
	say := time.Since(h.said) >= alarmEvery
	if say {
		h.said = time.Now()
	}
	h.mu.Unlock()
	if say {
		h.log.Error("the disk fails reads of the spool; nothing is given up, what cannot be read is tried again until it can: look at the disk", "error", err)
	}
}

// missed notes that a record could not be read, read that it could.
func (h *readHealth) missed(seq record.Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unread) < maxUnread {
		h.unread[seq] = struct{}{}
	}
}

func (h *readHealth) read(seq record.Seq) {
	h.mu.Lock()
	n := len(h.unread)
	if n > 0 {
		delete(h.unread, seq)
	}
	well := n > 0 && len(h.unread) == 0
	h.mu.Unlock()
	if well {
		h.log.Info("what could not be read from the spool was read again")
	}
}

// forgetUpTo drops what was released.
func (h *readHealth) forgetUpTo(upto record.Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for seq := range h.unread {
		if seq <= upto {
			delete(h.unread, seq)
		}
	}
}

func (h *readHealth) stats() (errors, unread uint64, last error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.errors, uint64(len(h.unread)), h.last
}
