package upload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// recover finds what an earlier run left: packs that it closed here, packs that it put into the
// store, and how far the ledger has come.
func (p *packer) recover(ctx context.Context) error {
	u := p.d.u
	// A process that was killed may have left a name that is not durable: none is believed before.
	if err := p.dir.fs.SyncDir("."); err != nil {
		return err
	}
	packs, err := p.dir.list(u.opts.Source.Released())
	if err != nil {
		return err
	}
	p.local, p.placed = nil, 0
	mine := map[record.Seq]record.Seq{}
	for _, pack := range packs {
		err := p.dir.load(pack)
		if err == nil {
			err = p.compareLocal(ctx, pack)
		}
		switch {
		case errors.Is(err, errDamaged):
			u.opts.Logger.Error("a pack on this disk cannot be used, and is built again from the spool: look at the disk", "file", pack.file, "error", err)
			if newest, err := u.opts.Source.Wait(ctx, 0); err != nil {
				return err
			} else if pack.Last <= newest {
				p.ends[pack.First] = pack.Last
			}
			if err := p.dir.remove(pack.file); err != nil {
				return err
			}
		case err != nil:
			return err
		default:
			pack.recovered = true
			p.local = append(p.local, pack)
			mine[pack.First] = pack.Last
		}
	}
	if p.ledger != nil {
		if p.placed, err = p.ledger.Next(ctx); err != nil {
			return err
		}
	}
	return p.listRemote(ctx, mine)
}

// compareLocal compares a closed pack with the spool.
func (p *packer) compareLocal(ctx context.Context, pack *packFile) error {
	f, err := p.dir.fs.Open(pack.file)
	if err != nil {
		return err
	}
	defer f.Close()
	is, same, err := p.d.u.compare(ctx, fetched{file: f, size: pack.Size, digest: pack.Digest}, pack.First, pack.Last, comparison{})
	if err != nil {
		return err
	}
	if !same || is.Root != pack.Root {
		return fmt.Errorf("%w: its rows are not the records of the spool", errDamaged)
	}
	pack.sizes = is.sizes
	return nil
}

// listRemote finds the packs of this log in the store that this directory does not know: it was lost. One
// whose range begins where a record waits is compared with the spool and taken, when its turn comes.
func (p *packer) listRemote(ctx context.Context, mine map[record.Seq]record.Seq) error {
	u := p.d.u
	released := u.opts.Source.Released()
	from, ok, err := p.oldest(ctx, released)
	if err != nil || !ok {
		return err
	}
	until := time.Now()
	if from.After(until) { // the clock was put back
		until = from
	}
	for day := from.UTC().Truncate(24 * time.Hour); !day.After(until); day = day.Add(24 * time.Hour) {
		for info, err := range u.opts.Store.List(ctx, store.ListOptions{Prefix: u.packing.Names.PackDay(day)}) {
			if store.ClassOf(err) == store.Credentials {
				if p.refused++; p.refused >= maxRefusals {
					u.opts.Logger.Warn("the packs in the store may not be listed: if the directory of packs was lost, some of its records will be in two packs", "error", err)
					return nil
				}
			}
			if err != nil {
				return err
			}
			first, last, ok := p.dir.firstAndLast(info.Key)
			if end, known := mine[first]; !ok || last <= released || known && end == last {
				continue
			}
			p.remote[first] = &packFile{Pack: record.Pack{First: first, Last: last, Key: info.Key}}
		}
	}
	return nil
}

// oldest is when the first record arrived that waits and can be read; false if there is none.
func (p *packer) oldest(ctx context.Context, released record.Seq) (time.Time, bool, error) {
	for e, err := range p.d.u.opts.Source.Entries(ctx, released+1) {
		_, lost := errors.AsType[*record.GapError](err)
		if _, unread := errors.AsType[*record.ReadError](err); lost || unread {
			continue
		}
		return e.Time, err == nil, err
	}
	return time.Time{}, false, nil
}

// takeClosed sends the pack on that has this record, where one is closed already: in this directory, in the ledger or in the store.
func (p *packer) takeClosed(ctx context.Context, seq record.Seq) (sent bool, err error) {
	if sent, err := p.takeLocal(ctx, seq); sent || err != nil {
		return sent, err
	}
	if seq < p.placed {
		pack, ok, err := p.ledger.PackOf(ctx, seq)
		if err != nil || !ok {
			return false, err
		}
		if err := p.close(ctx); err != nil {
			return false, err
		}
		return true, p.adoptProven(ctx, pack)
	}
	r := p.remote[seq]
	if r == nil {
		return false, nil
	}
	if err := p.close(ctx); err != nil {
		return false, err
	}
	return p.adopt(ctx, r)
}

// nextClosed is the first record behind first, up to last, that a closed pack has; 0 if there is none.
func (p *packer) nextClosed(ctx context.Context, first, last record.Seq) (next record.Seq, err error) {
	next = last + 1
	if len(p.local) > 0 {
		next = min(next, p.local[0].First)
	}
	for begin := range p.remote {
		if begin > first {
			next = min(next, begin)
		}
	}
	for seq := first + 1; seq < min(next, p.placed); seq++ {
		if _, ok, err := p.ledger.PackOf(ctx, seq); ok || err != nil {
			return seq, err
		}
	}
	if next > last {
		return 0, nil
	}
	return next, nil
}

// takeLocal sends the pack on that was closed before this run, where it begins with this record.
func (p *packer) takeLocal(ctx context.Context, first record.Seq) (sent bool, err error) {
	for len(p.local) > 0 && p.local[0].First < first { // its records were settled otherwise
		p.local = p.local[1:]
	}
	if len(p.local) == 0 || p.local[0].First != first {
		return false, nil
	}
	if err := p.close(ctx); err != nil {
		return false, err
	}
	pack := p.local[0]
	if first < p.placed {
		proven, ok, err := p.ledger.PackOf(ctx, first)
		if err != nil {
			return false, err
		}
		proven.Version = ""
		pack.stored = ok && proven == pack.Pack // no leaf before its object is stored
	}
	p.local = p.local[1:]
	return true, p.send(ctx, pack)
}

// adoptProven takes a pack that the ledger has, after its rows were compared with the spool.
func (p *packer) adoptProven(ctx context.Context, pack record.Pack) error {
	u := p.d.u
	f, done, err := u.fetchLogged(ctx, p.dir, pack)
	if wrong, is := packTrouble("the pack "+pack.Key, store.ClassOf(err)); is {
		return p.parkPack(ctx, pack, wrong)
	}
	if err != nil {
		return fmt.Errorf("the pack %s: %w", pack.Key, err)
	}
	defer done()
	if f.size != pack.Size || f.digest != pack.Digest {
		return p.parkPack(ctx, pack, notAsLogged{fmt.Sprintf("the pack %s in the store is not the one that the log names", pack.Key), putBack})
	}
	is, same, err := u.compare(ctx, f, pack.First, pack.Last, comparison{beside: true})
	if err != nil {
		return err
	}
	if !same || is.Root != pack.Root {
		pack.Root = record.Digest{} // what this spool has is another pack: the ledger says what that means
		return errors.Join(p.ledger.Pack(ctx, pack), fmt.Errorf("the pack %s does not hold the records %d to %d of the spool", pack.Key, pack.First, pack.Last))
	}
	is.Pack, is.stored = pack, true
	is.addUnseen(p.feed.parked)
	return p.send(ctx, &is)
}

// strike counts it against a pack of the store that one of its records cannot be read while another record can.
func (p *packer) strike(ctx context.Context, r *packFile, failed *record.ReadError) error {
	u := p.d.u
	u.readFailed(failed)
	newest, err := u.opts.Source.Wait(ctx, 0)
	if err != nil {
		return err
	}
	if ok, err := u.otherThan(ctx, failed.Seq, newest); err == nil && ok {
		r.strikes++
	}
	return failed
}

// adopt takes a pack of the store that the ledger does not have, if its rows are those of the spool. A record
// that cannot be read while others can is waited for some tries; then the pack is taken, and the record parked until it can be
// compared with its row. Where the spool lost the record, the row, whose body has its digest, is taken as it is.
func (p *packer) adopt(ctx context.Context, r *packFile) (taken bool, err error) {
	u := p.d.u
	info, err := u.opts.Store.Head(ctx, r.Key, store.GetOptions{})
	if err != nil && store.ClassOf(err) != store.NotFound {
		return false, err
	}
	if err != nil {
		delete(p.remote, r.First)
		return false, nil
	}
	how := comparison{foreign: true, unread: r.strikes < u.opts.DeferAfter && (r.strikes < 3 || u.draining.Load() == 0)}
	is, same, err := u.examine(ctx, p.dir, r.Key, info.Version, r.First, r.Last, how)
	if read, unread := errors.AsType[*record.ReadError](err); unread {
		return false, p.strike(ctx, r, read)
	}
	if err != nil {
		return false, err
	}
	if !same {
		u.opts.Logger.Error("the store has a pack under a name of this log whose rows are not its records: it is left alone, and they are stored beside it", "key", r.Key)
		delete(p.remote, r.First)
		return false, nil
	}
	u.opts.Logger.Warn("the store has a pack that this directory does not know: its rows are the records of the spool, and it is taken", "key", r.Key)
	delete(p.remote, r.First)
	if len(is.unseen) > 0 {
		u.opts.Logger.Warn("records of that pack cannot be read from this disk: they are parked until they can be compared with their rows; look at the disk", "key", r.Key, "records", len(is.unseen))
	}
	is.Key, is.Version, is.stored = r.Key, info.Version, true
	return true, p.send(ctx, &is)
}
