package upload

import (
	"context"
	"slices"

	"indelible/internal/record"
)

// provePack adds a pack to the ledger.
func (c *committer) provePack(ctx context.Context, p *packFile) bool {
	l, ok := c.u.opts.Ledger.(PackLedger)
	if !ok {
		panic("upload: packs need a ledger that proves them")
	}
	if !c.retryForever(ctx, "add to the ledger", func() error { return l.Pack(ctx, p.Pack) }) {
		return false
	}
	c.packs = append(c.packs, p)
	return true
}

// waiting is how many records are added to the ledger and wait for its checkpoint.
func (c *committer) waiting() int {
	n := len(c.unproven)
	for _, p := range c.packs {
		n += int(p.Count())
	}
	return n
}

func (c *committer) settlePacks(ctx, last context.Context) bool {
	for _, p := range c.packs {
		if !c.settlePack(ctx, last, p) {
			return false
		}
	}
	return true
}

// settlePack notes the rows of a pack as stored. A record that was released before is not waiting, or it is parked: then the sweep settles it,
// which compares it with its row.
func (c *committer) settlePack(ctx, last context.Context, p *packFile) bool {
	for some := range p.outcomes() {
		some = slices.DeleteFunc(some, func(o record.Outcome) bool { return o.Seq <= c.released })
		if !c.retryForever(ctx, "settle", func() error { return c.u.opts.Source.Settle(last, some...) }) {
			return false
		}
	}
	if !c.parkUnseen(ctx, last, p) {
		return false
	}
	c.through = append(c.through, p)
	return true
}

// removeFiles removes the packs whose records are released. What it cannot remove the next start does.
func (c *committer) removeFiles() {
	dir := packDir{fs: c.u.packing.Dir, log: c.u.opts.Log}
	c.through = slices.DeleteFunc(c.through, func(p *packFile) bool {
		if p.Last > c.released {
			return false
		}
		if p.file != "" {
			if err := dir.remove(p.file); err != nil {
				c.u.opts.Logger.Warn("a pack that is stored could not be removed from the directory of packs; the next start does it", "file", p.file, "error", err)
			}
		}
		return true
	})
}
