package upload

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"indelible/internal/record"
	"indelible/internal/store"
)

// Names of the metadata that layout gives every object, as far as they tell
// one record's object from another's.
const (
	metaLog    = "indelible-log"
	metaSeq    = "indelible-seq"
	metaBucket = "indelible-bucket"
	metaKey    = "indelible-key"
	metaSHA256 = "indelible-sha256"
)

// attemptResult is what became of one attempt.
type attemptResult struct {
	slot     *slot
	info     store.Info // of the object that holds the record, if err is nil
	err      error
	class    store.Class
	local    bool // the failure is our disk's, not the store's
	unread   bool // and it says nothing of the record: a read that failed
	altered  bool // the store does not have a pack as the log names it: that says nothing of how well it works
	spoke    bool // the store answered a question before it came to that
	cut      bool // the attempt ran out of its time
	took     time.Duration
	names    int            // names found taken by other bytes
	exists   bool           // the put of the present name said that it is taken
	found    bool           // the record was there already
	vanished bool           // it was stored before, and is not there any more
	rows     []record.Entry // of a pack that the store refuses: the records in it
}

// maxSpoiled is how many names of one record may be left to other bytes than those
// that were put: a store or a proxy that changes them all must not be filled with the attempts.
const maxSpoiled = 2

// maxNames is how many taken names one attempt passes by; the next goes on from there.
const maxNames = 8

// attempt tries once to have the record in the store under exactly one name.
// While it runs it owns the slot.
func (u *Uploader) attempt(ctx context.Context, s *slot) attemptResult {
	began := time.Now()
	v := attemptResult{slot: s}
	var packed bool
	v.info, packed, v.err = u.inPack(ctx, s, &v)
	limit := u.timeout(s)
	actx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !packed && v.err == nil {
		v.info, v.err = u.putOrFind(actx, s, &v)
	}
	v.took = time.Since(began)
	v.class = store.ClassOf(v.err)
	if v.local {
		_, damaged := errors.AsType[*record.GapError](v.err)
		v.unread = !damaged
	}
	if v.err != nil && !v.local && ctx.Err() == nil && actx.Err() != nil {
		v.cut, v.class = true, store.Ambiguous
		v.err = fmt.Errorf("no answer within %v: %w", limit, v.err)
	}
	if v.class == store.Poison && s.pack != nil {
		u.unpack(ctx, s, &v)
	}
	switch {
	case v.err == nil:
		s.mayExist, s.doubt = false, false
		if s.target != s.stored {
			u.variants.add(s.stored, variant{s.target, s.entry.Size, s.entry.Digest})
		}
	case v.class != store.Poison && !v.local:
		// Whatever it was, the bytes may have arrived.
		s.mayExist = s.mayExist || v.class == store.Ambiguous || v.class == store.Unknown || v.class == store.Exists
	}
	return v
}

// timeout grows with the body, and doubles (three times at most) for a record
// that ran out of it while others were stored.
func (u *Uploader) timeout(s *slot) time.Duration {
	d := u.opts.AttemptTimeout + time.Duration(s.entry.Size>>16)*time.Second
	return d << min(s.cuts, 3)
}

// putOrFind finds the record's name and puts it there.
func (u *Uploader) putOrFind(ctx context.Context, s *slot, v *attemptResult) (store.Info, error) {
	for range maxNames {
		if err := u.wholePack(ctx, s, v); err != nil {
			return store.Info{}, err
		}
		o := u.object(s)
		o.Key, o.Size, o.Digest, o.Condition = s.target, s.entry.Size, s.entry.Digest, store.Condition{}
		if !s.mayExist {
			info, err := u.put(ctx, s, o, v)
			if err == nil {
				return info, nil
			}
			if store.ClassOf(err) != store.Exists {
				return store.Info{}, err
			}
			v.exists = true
		}
		info, same, err := u.find(ctx, o, s.entry.Attrs.Get(record.AttrMD5), s.doubt || u.echoes() || s.check && u.opts.Confirm == ConfirmRead)
		v.spoke = v.spoke || err == nil || store.ClassOf(err) == store.NotFound
		if err == nil && !same && s.pack != nil && !s.pack.adopted {
			is, err := u.sameRows(ctx, s, info, v)
			if err != nil {
				return store.Info{}, err
			}
			if is { // the object is the pack, in other bytes
				s.mayExist, s.tried = true, true
				continue
			}
		}
		switch {
		case store.ClassOf(err) == store.NotFound:
			v.vanished = v.vanished || s.check && !v.exists
			if v.exists {
				// It was there and is not, or another writer is about to win: look again later.
				return store.Info{}, unclear("put", o.Key, "the key exists and cannot be found")
			}
			s.mayExist = false
		case err != nil:
			return store.Info{}, err
		case same && s.tried:
			v.found = true
			return info, nil
		case same:
			// Perhaps half of a put that was cut short: without its metadata, or not
			// durable. To put it once makes it whole, or tells that it is taken.
			s.mayExist = false
		case s.spoiled > maxSpoiled:
			return store.Info{}, unclear("put", o.Key, fmt.Sprintf("other bytes were read back under %d names: look at the store, and at every proxy before it", s.spoiled))
		default:
			target, variant := u.opts.Layout.Variant(s.target, s.entry.Seq), true
			if s.target == s.stored {
				twin, err := u.twin(ctx, s)
				if err != nil {
					return store.Info{}, err
				}
				if twin != "" {
					target, variant = twin, false // no new collision: the first copy was one
				}
			}
			v.names++
			v.exists, s.mayExist, s.tried, s.doubt = false, false, false, false
			s.target, s.variant = target, variant
		}
	}
	return store.Info{}, unclear("put", s.target, fmt.Sprintf("%d names were taken by other bytes", v.names))
}

// put makes the one attempt.
func (u *Uploader) put(ctx context.Context, s *slot, o store.Object, v *attemptResult) (store.Info, error) {
	body, err := s.entry.Open()
	if err != nil {
		v.local = true
		return store.Info{}, fmt.Errorf("open the body of record %d: %w", s.entry.Seq, err)
	}
	defer body.Close()
	watched := &watchedBody{body: body}
	o.Body = watched
	s.tried = true
	info, err := u.opts.Store.Put(ctx, o)
	switch {
	case watched.err != nil && err != nil:
		v.local = true
		return store.Info{}, fmt.Errorf("read the body of record %d: %w", s.entry.Seq, watched.err)
	case errors.Is(err, store.ErrOtherBytes):
		s.spoiled++
		s.doubt = true
		return store.Info{}, err
	case err != nil:
		return store.Info{}, err
	case info.Digest != record.Digest{} && info.Digest != o.Digest:
		return store.Info{}, unclear("put", o.Key, "the store confirmed another checksum")
	}
	return info, nil
}

// find looks at what stands under the object's key, and says whether it is
// this record: the same bytes from the same sender's bucket. md5hex is the
// body's MD5 where it is known. With doubt the object is read, whatever it says of itself.
func (u *Uploader) find(ctx context.Context, o store.Object, md5hex string, doubt bool) (store.Info, bool, error) {
	info, err := u.opts.Store.Head(ctx, o.Key, store.GetOptions{})
	if err != nil {
		return store.Info{}, false, err
	}
	if info.ETag == "" {
		return info, false, unclear("head", o.Key, "the answer is not the store's: no ETag")
	}
	if !sameSender(info.Meta, o.Meta) {
		return info, false, nil
	}
	if same, agreed := witnesses(info, o, md5hex); agreed && !doubt {
		return info, same, nil
	}
	// What it says of itself does not decide: read it.
	info.Key = o.Key
	digest, err := u.hash(ctx, info, o.Digest)
	return info, digest == o.Digest, err
}

// echoes says that the checksum that the store tells of an object may be the one
// that was sent with it, and never compared: its answers to puts do not confirm it.
func (u *Uploader) echoes() bool {
	how := u.confirms()
	return how != "" && how != store.ByChecksum
}

// witnesses asks everything that an object says of itself whether it holds o's bytes.
// One false word in an answer must not make a second object of a record, so
// that they are other bytes takes two.
func witnesses(info store.Info, o store.Object, md5hex string) (same, agreed bool) {
	yes, no := 0, 0
	say := func(equal bool) {
		if equal {
			yes++
		} else {
			no++
		}
	}
	if info.Size != o.Size {
		no++
	}
	if info.Digest != (record.Digest{}) {
		say(info.Digest == o.Digest)
	}
	if sum := info.Meta[metaSHA256]; sum != "" && info.Meta[metaLog] != "" {
		say(strings.EqualFold(sum, o.Digest.String()))
	}
	if len(info.ETag) == 2*md5.Size && strings.EqualFold(info.ETag, md5hex) {
		yes++ // another ETag says nothing: with encryption it is no MD5
	}
	return yes > 0, yes > 0 && no == 0 || yes == 0 && no > 1
}

// hash reads an object to tell whether it holds these bytes. That it holds others
// takes two readings that agree: one answer that was changed on its way must not make a
// second object of a record.
func (u *Uploader) hash(ctx context.Context, head store.Info, want record.Digest) (record.Digest, error) {
	first, err := u.read(ctx, head)
	if err != nil || first == want {
		return first, err
	}
	second, err := u.read(ctx, head)
	if err == nil && second != first {
		err = unclear("get", head.Key, "two readings gave different bytes")
	}
	return second, err
}

// read is the digest of an object's bytes as they arrive.
func (u *Uploader) read(ctx context.Context, head store.Info) (record.Digest, error) {
	body, info, err := u.opts.Store.Get(ctx, head.Key, store.GetOptions{Version: head.Version})
	if store.ClassOf(err) == store.Archived {
		return record.Digest{}, unclear("get", head.Key, "only its bytes tell what it is, and they are archived: restore the object")
	}
	if err != nil {
		return record.Digest{}, err
	}
	defer body.Close()
	h := sha256.New()
	n, err := io.Copy(h, body)
	if errors.Is(err, store.ErrOtherBytes) {
		err = nil // not even the store's checksum of it is right; whether it is so there, the other reading tells
	}
	switch {
	case err != nil:
		return record.Digest{}, unclear("get", head.Key, err.Error())
	case info.ETag != head.ETag || n != head.Size:
		return record.Digest{}, unclear("get", head.Key, "the answers to HEAD and GET do not agree")
	}
	return record.Digest(h.Sum(nil)), nil
}

// unclear is an answer that decides nothing.
func unclear(op, key, why string) error {
	return &store.Error{Op: op, Key: key, Class: store.Ambiguous, Err: errors.New(why)}
}

// sameSender compares the sender's bucket and key in the metadata of an object
// with those that ours would have. An object that is not ours has no sender.
func sameSender(theirs, ours map[string]string) bool {
	if theirs[metaLog] == "" && theirs[metaSeq] == "" {
		return true
	}
	return theirs[metaBucket] == ours[metaBucket] && theirs[metaKey] == ours[metaKey]
}

// watchedBody remembers whether reading the body failed, which is our disk's
// fault and not the store's.
type watchedBody struct {
	body io.ReadSeeker
	err  error
}

func (w *watchedBody) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

func (w *watchedBody) Seek(offset int64, whence int) (int64, error) {
	n, err := w.body.Seek(offset, whence)
	if err != nil {
		w.err = err
	}
	return n, err
}
