package upload

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"indelible/internal/record"
	"indelible/internal/store"
)

// A pack of the store is taken although some of its records cannot be read from the spool now: others would wait for
// ever, or be stored twice. Those records are parked and not settled as stored: each is compared with its row
// once it can be read, and the spool keeps it until then.

// unseenReason is why such a record is parked.
const unseenReason = "the store has a pack with a row for it, and it could not be read to compare them"

// besideReason is why a record of a pack is parked whose body was removed from beside it.
const besideReason = `the store has a pack with a row for it, and not its body, which lay beside: run "indelible verify", and put the object back`

// addUnseen adds the records of the pack that an earlier run parked.
func (p *packFile) addUnseen(parked map[record.Seq]record.Outcome) {
	for seq := range parked {
		if p.First <= seq && seq <= p.Last && !slices.Contains(p.unseen, seq) {
			p.unseen = append(p.unseen, seq)
		}
	}
	slices.Sort(p.unseen)
	p.unseen = slices.Compact(p.unseen)
}

// parkUnseen parks the records of a stored pack that could not be compared with their rows. One that the disk lost
// meanwhile has its row, and one that was released before is parked already, or stored.
func (c *committer) parkUnseen(ctx, last context.Context, p *packFile) bool {
	for _, seq := range p.unseen {
		if seq <= c.released {
			continue
		}
		o := record.Outcome{Info: record.Info{Seq: seq}, State: record.Deferred, Reason: cmp.Or(p.reason, unseenReason)}
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
	row, fetched, err := u.rows.row(ctx, u, pack, s.entry.Seq)
	same := row.leaf == rowLeaf(&s.entry.Info)
	if err == nil && same && row.object != "" {
		err, fetched = u.stillBeside(ctx, s, row.object), true
	}
	_, v.altered = errors.AsType[notAsLogged](err)
	v.spoke = v.altered && fetched
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

// stillBeside fails where the body of a record that is the row of a pack is not in the object that the row names: the spool may have the only
// copy.
func (u *Uploader) stillBeside(ctx context.Context, s *slot, object string) error {
	ctx, cancel := context.WithTimeout(ctx, u.timeout(s))
	defer cancel()
	there, err := u.hasBeside(ctx, &PackRow{Row: record.Row{Info: s.entry.Info, Object: object}})
	if err == nil && !there {
		err = &store.Error{Op: "get", Key: object, Class: store.Ambiguous, Err: notAsLogged{"the body of the record, which lies beside its pack, is not there", putBack}}
	}
	return err
}
