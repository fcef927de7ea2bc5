package proof

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

// eachRow gives the rows of a pack to do, after its digest was compared with the leaf.
// A pack that cannot be read counts as unread.
func (c *reconciling) eachRow(ctx context.Context, l *Leaf, bodies bool, do func(*PackRow)) error {
	at := *l
	if rest, ok := strings.CutPrefix(l.Key, c.prefix); c.prefixed && ok {
		at.Key = c.base + rest
	}
	file, done, err := c.openPack(ctx, &at)
	if err != nil {
		c.result.Unread += l.Count
		return cannotLook(err)
	}
	defer done()
	next := l.First
	for row, err := range c.opt.Packs.Rows(ctx, file, l.Size, bodies) {
		if err == nil && row.Seq != next {
			err = fmt.Errorf("row %d is record %d", next-l.First, row.Seq)
		}
		if err != nil {
			c.result.Unread += int64(l.Last-next) + 1
			return nil
		}
		do(&row)
		next++
	}
	return ctx.Err()
}

// rowRecord is a row as the leaf of a record of its own would tell it.
func rowRecord(row *PackRow) Leaf {
	l := rowLeaf(&row.Info)
	l.Kind, l.Key = Record, row.Key
	return l
}

// packKeys looks for ids in the keys of the rows, and returns the packs with rows that no key matched.
func (c *reconciling) packKeys(ctx context.Context) (open []Leaf, err error) {
	for i := range c.packs {
		unmatched := false
		err := c.eachRow(ctx, &c.packs[i], false, func(row *PackRow) {
			l := rowRecord(row)
			unmatched = c.takeRecord(&l) || unmatched
		})
		if err != nil {
			return nil, err
		}
		if unmatched {
			open = append(open, c.packs[i])
		}
	}
	return open, nil
}

// lookInsidePacks is lookInside for the rows of packs.
func (c *reconciling) lookInsidePacks(ctx context.Context, open []Leaf) error {
	for i := range open {
		from, to, lacking := c.ids.span()
		if c.opt.KeysOnly || !lacking {
			return nil
		}
		err := c.eachRow(ctx, &open[i], true, func(row *PackRow) {
			l := rowRecord(row)
			if !from.IsZero() && l.Time.Before(from) || !to.IsZero() && !l.Time.Before(to) || c.ids.knows(&l) {
				return
			}
			groups, err := c.idsInRow(ctx, row, &l)
			c.result.Read++
			if err != nil {
				c.result.Unread++
				return
			}
			c.inside(&l, groups)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// idsInRow is idsInside for a row.
func (c *reconciling) idsInRow(ctx context.Context, row *PackRow, l *Leaf) ([][]string, error) {
	if row.Object != "" || row.Body == nil {
		l.Key = row.Object
		return c.idsInside(ctx, l)
	}
	var b bytes.Buffer
	size, sum, err := digestOf(io.TeeReader(io.LimitReader(row.Body, min(row.Size, maxBody)+1), &b))
	if err == nil && (size != row.Size || sum != row.Digest) {
		err = fmt.Errorf("record %d was changed, or is too large: run verify", row.Seq)
	}
	if err != nil {
		return nil, err
	}
	return bodyIDs(b.Bytes()), nil
}
