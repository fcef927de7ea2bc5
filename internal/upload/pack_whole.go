package upload

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"

	"indelible/internal/disk"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/store"
)

// opener opens a pack for an attempt.
func (d packDir) opener(p *packFile) func() (io.ReadSeekCloser, error) {
	return func() (io.ReadSeekCloser, error) { return d.open(p) }
}

// wholePack compares a pack with its seal before it is sent. One that was damaged on this disk
// is built again, with the same range and under the same key; it may then have other bytes than before.
func (u *Uploader) wholePack(ctx context.Context, s *slot, v *attemptResult) error {
	if s.pack == nil || s.pack.adopted {
		return nil
	}
	dir := packDir{fs: u.packing.Dir, log: u.opts.Log}
	size, sum, err := dir.digest(s.pack.file)
	if err == nil && (size != s.pack.Size || sum != s.pack.Digest) {
		u.opts.Logger.Error("a pack on this disk was damaged and is built again from the spool: look at the disk", "file", s.pack.file)
		err = u.rebuild(ctx, dir, s.pack)
	}
	if err != nil {
		v.local = true
		return fmt.Errorf("read the pack %s: %w", s.pack.file, err)
	}
	s.entry = packEntry(u, s.pack)
	return nil
}

// rebuild builds a pack again, with the range and the key that it has.
func (u *Uploader) rebuild(ctx context.Context, dir packDir, p *packFile) error {
	var b *building
	defer func() {
		if b != nil {
			b.abandon()
		}
	}()
	keeper := &packer{opts: u.packing}
	next := p.First
	for e, err := range u.opts.Source.Entries(ctx, p.First) {
		if err == nil && (e.Seq != next || e.Seq > p.Last) {
			err = fmt.Errorf("record %d is not in the spool", next)
		}
		if err == nil && b == nil {
			again := dir
			again.log += "-again" // beside what the packer builds
			b, err = again.begin(u.packing.Format, &proof.RowTree{}, e.Info, u.opts.Log)
		}
		row, body := record.Row{Info: e.Info}, []byte(nil)
		if err == nil && e.Size > u.packing.MaxInline {
			row.Object = u.packing.Names.BesideKey(u.opts.Log, e.Info)
		} else if err == nil {
			body, err = keeper.read(&e)
		}
		if err == nil {
			err = b.add(row, body)
		}
		if err != nil {
			return err
		}
		if next++; next > p.Last {
			break
		}
	}
	if b == nil || next <= p.Last {
		return fmt.Errorf("record %d is not in the spool", next)
	}
	b.dir.log = u.opts.Log
	again, err := b.close(p.Key)
	if err == nil {
		b = nil
		err = dir.fs.SyncDir(".")
	}
	if err != nil {
		return err
	}
	*p = *again
	return nil
}

// sameRows says whether the object that lies under a pack's key holds the same rows as the pack,
// in other bytes: it was built by another process of this log. Then it is the pack. While that
// is not known, no other name may be tried: each row would be there twice.
func (u *Uploader) sameRows(ctx context.Context, s *slot, info store.Info, v *attemptResult) (bool, error) {
	dir := packDir{fs: u.packing.Dir, log: u.opts.Log}
	is, same, err := u.examine(ctx, dir, s.target, info.Version, s.pack.First, s.pack.Last, comparison{foreign: true}) // the root tells of what cannot be read now
	if err != nil {
		_, ofStore := asStoreError(err)
		v.local = !ofStore && ctx.Err() == nil
		return false, err
	}
	if !same || is.Root != s.pack.Root {
		return false, nil
	}
	u.opts.Logger.Warn("the store has a pack of the same records in other bytes: it is taken for the one that was built here", "key", s.target)
	s.pack.Size, s.pack.Digest, s.pack.adopted = is.Size, is.Digest, true
	s.entry = packEntry(u, s.pack)
	return true, nil
}

// examine fetches a pack that nothing here knows and compares it with the spool. What its bytes are takes the
// store's word for their digest, or two readings that agree: an answer that was changed on its way decides nothing.
func (u *Uploader) examine(ctx context.Context, dir packDir, key, version string, first, last record.Seq, how comparison) (is packFile, same bool, err error) {
	var before record.Digest
	for n := range 2 {
		f, done, err := u.fetch(ctx, dir, key, version)
		if err != nil {
			return is, false, err
		}
		if f.digest == f.told || n > 0 && f.digest == before {
			is, same, err = u.compare(ctx, f, first, last, how)
			done()
			return is, same, err
		}
		done()
		before = f.digest
	}
	return is, false, unclear("get", key, "two readings gave different bytes")
}

// fetched is an object in a local file.
type fetched struct {
	file   disk.File
	size   int64
	digest record.Digest
	told   record.Digest // what the store says it is; zero: nothing
}

// fetch copies an object into the directory of packs, until done is called.
func (u *Uploader) fetch(ctx context.Context, dir packDir, key, version string) (f fetched, done func(), err error) {
	body, info, err := u.opts.Store.Get(ctx, key, store.GetOptions{Version: version})
	if err != nil {
		return f, nil, err
	}
	defer body.Close()
	name := fmt.Sprintf("fetched-%d%s", u.fetches.Add(1), buildExt)
	_ = dir.fs.Remove(name) // of a process before
	if f.file, err = dir.fs.Create(name); err != nil {
		return f, nil, err
	}
	done = func() {
		f.file.Close()
		_ = dir.fs.Remove(name)
	}
	h := newHashedFile(f.file)
	f.size, err = io.Copy(h, body)
	switch {
	case h.err != nil || err == nil || errors.Is(err, store.ErrOtherBytes): // the digest tells what was read
		err = h.err
	default:
		err = unclear("get", key, err.Error())
	}
	if err != nil {
		done()
		return f, nil, err
	}
	h.sum.Sum(f.digest[:0])
	f.told = info.Digest
	return f, done, nil
}

// comparison says how far a pack and the spool are believed when they are compared.
type comparison struct {
	foreign bool // nothing vouches for the file: what is wrong in it decides, and bodies beside it must be in the store
	unread  bool // a record that cannot be read now is an error; else it is passed over, like one that is lost
	beside  bool // a record whose body beside it is not in the store is passed over, too
}

// compare compares the rows of a pack with the records of the spool. What is not in the spool any more, or
// lost there, is taken as it is, but not what never was there: its numbers are those of records to come.
// is has all but the key and the version.
func (u *Uploader) compare(ctx context.Context, f fetched, first, last record.Seq, how comparison) (is packFile, same bool, err error) {
	is.Pack = record.Pack{First: first, Last: last, Size: f.size, Digest: f.digest}
	if newest, err := u.opts.Source.Wait(ctx, 0); err != nil || last > newest {
		return is, false, err
	}
	next, stop := iter.Pull2(u.opts.Source.Entries(ctx, first))
	defer stop()
	var have record.Entry
	var tree proof.RowTree
	seq := first
	for row, err := range u.packing.Format.Rows(ctx, f.file, f.size, true) {
		if err != nil && !how.foreign {
			return is, false, err // its digest was compared: it is the disk
		}
		if err != nil || row.Seq != seq || seq > last || !rowIsWhole(&row) {
			return is, false, ctx.Err()
		}
		for have.Seq < seq {
			e, err, more := next()
			if !more {
				have.Seq = last + 1
				break
			}
			gap, lost := errors.AsType[*record.GapError](err)
			read, unread := errors.AsType[*record.ReadError](err)
			switch {
			case lost:
				have = record.Entry{Info: record.Info{Seq: min(gap.Last, last)}}
			case unread && !how.unread && read.Seq != 0:
				have = record.Entry{Info: record.Info{Seq: read.Seq}}
				if read.Seq <= last {
					is.unseen = append(is.unseen, read.Seq)
				}
			case err != nil:
				return is, false, err
			default:
				have = e
			}
		}
		if have.Seq == seq && have.Key != "" && !sameRecord(&row.Info, &have.Info) {
			return is, false, nil
		}
		if row.Object != "" && (how.foreign || how.beside) {
			there, err := u.hasBeside(ctx, &row)
			if err != nil || !there && !how.beside {
				return is, false, err
			}
			if !there {
				is.unseen, is.reason = append(is.unseen, seq), besideReason
			}
		}
		if seq == first {
			is.Time = row.Time
		}
		tree.Add(&row.Info)
		is.sizes = append(is.sizes, row.Size)
		seq++
	}
	is.Root = tree.Root()
	return is, seq == last+1, nil
}

// rowIsWhole says whether a row's body is the one that it names.
func rowIsWhole(row *PackRow) bool {
	if row.Object != "" {
		return true // see hasBeside
	}
	h := sha256.New()
	n, err := int64(0), error(nil)
	if row.Body != nil {
		n, err = io.Copy(h, row.Body)
	}
	return err == nil && n == row.Size && record.Digest(h.Sum(nil)) == row.Digest
}

// hasBeside says whether the object that a row names holds the row's body.
func (u *Uploader) hasBeside(ctx context.Context, row *PackRow) (bool, error) {
	o := u.opts.Layout.Object(row.Info, row.Object, u.opts.Log)
	o.Key, o.Size, o.Digest = row.Object, row.Size, row.Digest
	_, same, err := u.find(ctx, o, "", u.echoes())
	if store.ClassOf(err) == store.NotFound {
		return false, nil
	}
	return same, err
}

// sameRecord compares all that the leaf of a row states.
func sameRecord(a, b *record.Info) bool {
	var one, other proof.RowTree
	one.Add(a)
	other.Add(b)
	return a.Key == b.Key && a.Bucket == b.Bucket && one.Root() == other.Root()
}
