package upload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// A pack of the store is taken although some of its records cannot be read from the spool now: others would wait for
// ever, or be stored twice. Those records are parked and not settled as stored: each is compared with its row
// once it can be read, and the spool keeps it until then.

// unseenReason is why such a record is parked.
const unseenReason = "the store has a pack with a row for it, and it could not be read to compare them"

// addUnseen adds the records of the pack that an earlier run parked.
func (p *packFile) addUnseen(parked map[record.Seq]record.Outcome) {
	for seq := range parked {
		if p.First <= seq && seq <= p.Last && !slices.Contains(p.unseen, seq) {
			p.unseen = append(p.unseen, seq)
		}
	}
	slices.Sort(p.unseen)
}

// parkUnseen parks the records of a stored pack that could not be compared with their rows. One that the disk lost
// meanwhile has its row.
func (c *committer) parkUnseen(ctx, last context.Context, p *packFile) bool {
	for _, seq := range p.unseen {
		o := record.Outcome{Info: record.Info{Seq: seq}, State: record.Deferred, Reason: unseenReason}
		parked := true
		ok := c.retryForever(ctx, "settle", func() error {
			err := c.u.opts.Source.Settle(last, o)
			if _, lost := errors.AsType[*record.GapError](err); lost {
				parked, err = false, nil
			}
			return err
		})
		if !ok {
			return false
		}
		if parked {
			c.u.noteParked(o)
		}
	}
	return true
}

// inPack says whether a record that was parked is the row of a pack that the ledger has. A row that is another
// record is the ledger's to judge; this one stays parked.
func (u *Uploader) inPack(ctx context.Context, s *slot, v *attemptResult) (info store.Info, is bool, err error) {
	l, ok := u.opts.Ledger.(PackLedger)
	if !ok || u.opts.Packing == nil || !s.parked {
		return info, false, nil
	}
	pack, ok, err := l.PackOf(ctx, s.entry.Seq)
	if err != nil || !ok {
		return info, false, err
	}
	same, err := u.isRow(ctx, pack, &s.entry.Info)
	if err == nil && !same {
		err = errors.Join(l.Add(ctx, withoutAttrs(record.Outcome{Info: s.entry.Info, State: record.Stored, Stored: pack.Key})),
			fmt.Errorf("the pack %s has another record under number %d than the spool, which keeps its own", pack.Key, s.entry.Seq))
	}
	if _, ofStore := asStoreError(err); err != nil && !ofStore {
		err = unclear("compare", pack.Key, err.Error())
	}
	if err != nil {
		return info, false, err
	}
	s.stored, s.target, v.found = pack.Key, pack.Key, true
	return store.Info{Key: pack.Key, Version: pack.Version}, true, nil
}

// isRow says whether a pack that the ledger has holds this record.
func (u *Uploader) isRow(ctx context.Context, pack record.Pack, info *record.Info) (bool, error) {
	limit := u.opts.AttemptTimeout + time.Duration(pack.Size>>16)*time.Second
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f, done, err := u.fetch(short, packDir{fs: u.packing.Dir, log: u.opts.Log}, pack.Key, pack.Version)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		err = unclear("get", pack.Key, fmt.Sprintf("no answer within %v: %v", limit, err))
	}
	if err != nil {
		return false, err
	}
	defer done()
	if f.size != pack.Size || f.digest != pack.Digest {
		return false, unclear("get", pack.Key, "it is not the pack that the log names: run verify, and put the object back")
	}
	for row, err := range u.packing.Format.Rows(ctx, f.file, f.size, false) {
		if err != nil {
			return false, err
		}
		if row.Seq == info.Seq {
			return sameRecord(&row.Info, info), nil
		}
	}
	return false, nil
}
