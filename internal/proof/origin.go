package proof

import (
	"encoding/hex"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// Origin says where the records of a log come from that goes on where another
// log ended. Its Continues leaf is the first one of the log.
type Origin struct {
	Log    string     // the other log; "" if this log has a beginning of its own
	First  record.Seq // the first record of this one, under the same seq as there
	Size   uint64     // of the last checkpoint that is known of the other log
	Root   tlog.Hash  // of the same
	Reason string     // why the other log ended
}

// OriginIn is the origin of a log that goes on where the log in a data
// directory ended. What the directory has lost of its log, the origin leaves out.
func OriginIn(data disk.FS, log string, first record.Seq, reason string) Origin {
	o := Origin{Log: log, First: first, Reason: reason}
	o.Root, _ = tlog.TreeHash(0, nil) // that of an empty tree cannot fail
	checkpoint, _, err := LastPublished(data)
	if err != nil || checkpoint == nil {
		return o
	}
	if cp, err := ParseCheckpoint(checkpoint); err == nil {
		o.Size, o.Root = cp.Size, cp.Root
	}
	return o
}

// begin adds the leaf of the origin to a log that has no leaf yet.
func (l *Log) begin() error {
	o := l.opt.Origin
	l.mu.Lock()
	empty := l.state.edge.size == 0 && len(l.state.pending) == 0
	l.mu.Unlock()
	if o.Log == "" || !empty {
		return nil
	}
	return l.lifecycle(Leaf{
		Kind: Continues, FromLog: cut(o.Log, maxName), FromSeq: o.First, Size: int64(o.Size), Root: hex.EncodeToString(o.Root[:]), Reason: cut(o.Reason, maxReason),
	})
}

// earlier takes an outcome of a record that has its place in the log before:
// it gets a Stored leaf once it is stored. The caller holds mu.
func (l *Log) earlier(leaf *Leaf) {
	if leaf.Kind == Record {
		leaf.Kind = Stored
		l.append(leaf)
	}
}
