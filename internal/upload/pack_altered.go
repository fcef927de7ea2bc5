package upload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
)

// parkPack takes note that the store does not have a pack of the ledger as the log names it, or not its bytes, while its records
// are in the spool still. After some tries they are parked, so that what comes behind them is delivered. The spool keeps them: each
// is compared with its row once the pack can be read.
func (p *packer) parkPack(ctx context.Context, pack record.Pack, wrong notAsLogged) error {
	u := p.d.u
	p.absent[pack.First]++
	if n := p.absent[pack.First]; n < u.opts.DeferAfter && (n < 3 || u.draining.Load() == 0) {
		return fmt.Errorf("its records stay in the spool: %w", wrong)
	}
	delete(p.absent, pack.First)
	u.opts.Logger.Error("a pack that the log names is not in the store as it was, or cannot be read: its records stay in the spool, parked, and others are delivered; "+
		"once that is put right they are settled by themselves", "error", wrong, "first", pack.First, "last", pack.Last)
	is := &packFile{Pack: pack, stored: true, reason: wrong.Error()}
	for seq := pack.First; seq <= pack.Last; seq++ {
		is.unseen = append(is.unseen, seq)
	}
	return p.send(ctx, is)
}

// packRows are the rows of the pack that a parked record was compared with last: where many records of one pack are parked, it is
// fetched once. It is safe for concurrent use.
type packRows struct {
	mu   sync.Mutex
	of   record.Pack
	at   time.Time // when it was fetched; zero: never
	rows map[record.Seq]packedRow
	err  error // why there are none
}

// packedRow is what tells whether a record is the row of a pack.
type packedRow struct {
	leaf   record.Digest
	object string // where the body lies, if not in the pack
}

// rowsKept is how long they, or that the store has another pack or none, are believed.
const rowsKept = 5 * time.Minute

// notAsLogged says that the store does not have a pack as the log names it, or that its bytes cannot be read before somebody
// restores them: to ask again says nothing new for a while, and nothing of how well the store works.
type notAsLogged struct{ what, remedy string }

func (e notAsLogged) Error() string { return e.what + ": " + e.remedy }

// putBack is what to do about a pack that is gone or changed.
const putBack = `run "indelible verify", and put the object back (the version before, where the bucket keeps versions)`

// packTrouble is what the class of a failure says of a pack that the log names, or of a body beside it; false: nothing.
func packTrouble(what string, class store.Class) (notAsLogged, bool) {
	switch class {
	case store.NotFound:
		return notAsLogged{what + ", which the log names, is not in the store", putBack}, true
	case store.Archived:
		return notAsLogged{what + " is archived, and the log's records in the spool cannot be compared with it", "restore the object"}, true
	}
	return notAsLogged{}, false
}

// row is the row of a record in a pack that the ledger has. It says whether the pack was fetched for it.
func (r *packRows) row(ctx context.Context, u *Uploader, pack record.Pack, seq record.Seq) (row packedRow, fetched bool, err error) {
	asked := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	_, wrong := errors.AsType[notAsLogged](r.err)
	// Any other failure says nothing of the pack: it is shared with those alone who waited for that answer.
	if known := (r.err == nil || wrong) && time.Since(r.at) <= rowsKept; r.of != pack || r.at.Before(asked) && !known {
		rows, err := u.fetchRows(ctx, pack)
		if ctx.Err() != nil {
			return packedRow{}, true, err
		}
		r.of, r.at, r.rows, r.err, fetched = pack, time.Now(), rows, err, true
	}
	return r.rows[seq], fetched, r.err
}

// rowLeaf is a digest of all that sameRecord compares.
func rowLeaf(info *record.Info) record.Digest {
	var one proof.RowTree
	one.Add(info)
	root := one.Root()
	return sha256.Sum256(fmt.Appendf(nil, "%s%q %q", root[:], info.Bucket, info.Key))
}

// fetchLogged fetches a pack of the ledger. Where the version that the log names is gone, it is whatever has its key: one that was put back
// from a copy is another version, and its digest tells whether it is the pack.
func (u *Uploader) fetchLogged(ctx context.Context, dir packDir, pack record.Pack) (f fetched, done func(), err error) {
	f, done, err = u.fetch(ctx, dir, pack.Key, pack.Version)
	if pack.Version != "" && store.ClassOf(err) == store.NotFound {
		f, done, err = u.fetch(ctx, dir, pack.Key, "")
	}
	return f, done, err
}

// fetchRows fetches a pack of the ledger and gives its rows.
func (u *Uploader) fetchRows(ctx context.Context, pack record.Pack) (map[record.Seq]packedRow, error) {
	limit := u.opts.AttemptTimeout + time.Duration(pack.Size>>16)*time.Second
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f, done, err := u.fetchLogged(short, packDir{fs: u.packing.Dir, log: u.opts.Log}, pack)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		err = unclear("get", pack.Key, fmt.Sprintf("no answer within %v: %v", limit, err))
	}
	if wrong, is := packTrouble("the pack "+pack.Key, store.ClassOf(err)); is {
		err = &store.Error{Op: "get", Key: pack.Key, Class: store.Ambiguous, Err: wrong}
	}
	if err != nil {
		return nil, err
	}
	defer done()
	if f.size != pack.Size || f.digest != pack.Digest {
		return nil, &store.Error{Op: "get", Key: pack.Key, Class: store.Ambiguous, Err: notAsLogged{"it is not the pack that the log names", putBack}}
	}
	rows := map[record.Seq]packedRow{}
	for row, err := range u.packing.Format.Rows(ctx, f.file, f.size, false) {
		if err != nil {
			return nil, err
		}
		rows[row.Seq] = packedRow{rowLeaf(&row.Info), row.Object}
	}
	return rows, nil
}
