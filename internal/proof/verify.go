package proof

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"indelible/internal/store"
)

// KeptCheckpoint is a checkpoint from elsewhere than the bucket: one that an auditor
// kept, or that a data directory remembers. The log must have grown from it.
type KeptCheckpoint struct {
	Name       string // where it comes from, for the report
	Checkpoint []byte
}

// VerifyOptions narrow or widen a Verify. The zero value verifies everything.
type VerifyOptions struct {
	// From is a checkpoint that was audited before: only what came later is read. The
	// tree must have grown from it. Name is for the report; no Checkpoint: the whole log.
	From     KeptCheckpoint
	Since    time.Time        // read only the objects of records that arrived since; zero: all
	Sample   float64          // read this percentage of the objects, chosen at random; 0: all
	Kept     []KeptCheckpoint // the log must be consistent with these too
	Begun    bool             // its writer has begun it and published nothing yet: says why there is no checkpoint
	Parallel int              // requests at once; 0 is 256, in a directory four for each processor
	NoExtras bool             // do not look for objects that no leaf names
	// Packs reads the rows of packs. nil: their objects are compared with the log, but not their rows, and the log is not complete.
	Packs   Packs
	NoRows  bool // do not read the rows of packs: their objects' digests alone
	NoAttrs bool // do not compare headers and metadata: a plain copy of a bucket has none
	// MaxAge is how old the newest leaf may be in a log that is complete. 0: 25 minutes in a log whose writer
	// has not stopped, any age in one that has.
	MaxAge time.Duration
	// ClockBound is by how much the times in the leaves and the store's may differ untold; 0: 24 h.
	ClockBound time.Duration
	// Policy says which witnesses must have cosigned the newest checkpoint; nil: none need have.
	Policy   *Policy
	Progress func(Progress) // called now and then, never concurrently; may be nil
}

// Verify decides from nothing but the store and the log's public key whether
// every record that the log names is there and unchanged: signatures, the
// consistency of all kept checkpoints, every bundle and tile, the order of seq, each
// object's bytes and attributes, and the sense of the lifecycle leaves. base is what stands before the log's
// _indelible/ in the store: a copy of the bucket, or of the part below the
// prefix, is as good as the original.
//
// What is wrong with the log is in the report. An error means that Verify
// could not look: the store could not be reached, or the key is invalid.
func Verify(ctx context.Context, st store.Store, base, vkey string, o VerifyOptions) (Report, error) {
	start := time.Now()
	key, err := parsePublic(vkey)
	if err != nil {
		return Report{}, fmt.Errorf("verify: invalid public key: %w", err)
	}
	if o.Policy != nil && !o.Policy.accepts(key) {
		return Report{}, fmt.Errorf("verify: the policy is about another log than %s with this key", key.Name())
	}
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel(st)
	}
	o.ClockBound = cmp.Or(o.ClockBound, 24*time.Hour)
	v := &verifier{
		reader: newReader(patientStore{st}, base, key.Name()), direct: st, base: slashed(base), key: key, opt: o, start: start,
		report: Report{Log: key.Name(), Faults: []Fault{}, Notices: []Fault{}, ExtraKeys: []string{}, MissingRanges: []SeqRange{}, Incomplete: []string{}},
	}
	v.findings.report = &v.report
	v.leaves = leafChecker{findings: &v.findings, log: key.Name()}
	if err := v.run(ctx); err != nil {
		return Report{}, fmt.Errorf("verify log %s: %w", key.Name(), err)
	}
	v.settle()
	v.report.Seconds = time.Since(start).Seconds()
	return v.report, nil
}

// defaultParallel is how many requests a store takes at once: one that is far
// away many, a directory as many as keep the processors busy.
func defaultParallel(st store.Store) int {
	if _, ok := st.(nameLister); ok {
		return 4 * runtime.GOMAXPROCS(0)
	}
	return 256
}

// verifier is one Verify under way. Everything but the findings is owned by
// the goroutine that walks the tree.
type verifier struct {
	reader
	findings
	direct store.Store // the store itself: what else it can do
	base   string
	key    publicKey
	opt    VerifyOptions
	start  time.Time
	told   time.Time // when Progress was last called

	report         Report
	checkpoints    []*foundCheckpoint // by size
	keptBytes      int                // of them, in history/ and older versions; guarded by findings.mu
	unkept         int                // left out because there were too many; guarded by findings.mu
	nextCheckpoint int                // the first in checkpoints that the walk has not come to
	cp             Checkpoint         // whose tree is walked
	tree           edge
	compact        *compactRange // the same tree: for its root
	broken         bool          // the tree cannot be recomputed from here on
	stopped        bool          // the walk ended early
	walked         bool          // something was
	parent         tileAt        // the level-1 tile last read
	leaves         leafChecker
	names          *nameSet
	unread         rangeSet // records in packs whose rows were not read
	others         *nameSet // objects of other logs under the same prefix; nil: there are none
	jobs           chan job
	packs          chan struct{}                                                                              // one for each pack that is read
	besides        []string                                                                                   // objects that rows name; guarded by findings.mu
	bulk           func(ctx context.Context, key string, buf []byte, limit int64) ([]byte, store.Info, error) // nil: the store has none
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.collect(ctx); err != nil {
		return err
	}
	if !v.opt.NoExtras && v.opt.From.Checkpoint == nil {
		v.names = newNameSet()
	}
	if err := v.resume(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := func() error { return nil }
	if b, ok := v.direct.(bulkReader); ok {
		v.bulk, done = b.Bulk()
	}
	v.packs = make(chan struct{}, packsAtOnce)
	err := v.readAll(ctx, cancel)
	err = errors.Join(err, done())
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	v.leaves.end()
	if v.names != nil {
		for _, object := range v.besides {
			v.names.add(object)
		}
	}
	v.judgeCheckpoints()
	if v.unkept > 0 {
		v.incomplete("%d checkpoints in %shistory/, or older versions, were not compared: there are more than a log has, so most are not this log's: move them away", v.unkept, v.dir)
	}
	return v.findExtras(ctx)
}

// maxRereads bounds how often the log is read on because objects were gone.
const maxRereads = 8

// readAll walks the log and reads the objects. Where some are gone that no leaf says were removed, it looks whether the
// log has grown, and reads on: a removal is logged before it is done, so what was removed meanwhile is told by a leaf behind
// the checkpoint that was the newest at the beginning.
func (v *verifier) readAll(ctx context.Context, cancel context.CancelCauseFunc) error {
	for range maxRereads {
		wait := v.startReaders(ctx, cancel)
		err := v.walkAll(ctx)
		wait()
		if err != nil || ctx.Err() != nil || v.broken || !v.unexplained() {
			return err
		}
		grown, err := v.newer(ctx)
		if err != nil || !grown {
			return err
		}
		v.stopped = false
	}
	return nil
}

// unexplained says whether objects, or their attributes, are gone without a leaf that says that they were removed.
func (v *verifier) unexplained() bool {
	lost := v.missing.minus(&v.leaves.removed)
	return lost.count() > 0 || slices.ContainsFunc(v.bare, func(f Fault) bool { return !v.leaves.removed.has(f.Seq) })
}

// newer takes in the log's checkpoint once more, if it is signed and greater than the tree that was walked.
func (v *verifier) newer(ctx context.Context) (bool, error) {
	const name = "checkpoint"
	raw, info, err := v.objectUpTo(ctx, v.dir+name, "", maxCheckpoint)
	if look := cannotLook(err); look != nil {
		return false, look
	}
	cp, perr := ParseCheckpoint(raw)
	if err != nil || perr != nil || cp.Log != v.key.Name() || cp.Size <= v.tree.size {
		return false, nil
	}
	h := &foundCheckpoint{Checkpoint: cp, name: v.dir + name, raw: raw, source: current, modified: info.ModTime}
	if checkSignature(h, v.keys()) != nil {
		// Perhaps the key was changed meanwhile: a checkpoint that both keys have signed is kept in history/.
		grown, err := v.newerKept(ctx)
		if grown {
			v.checkpoints = slices.Insert(v.checkpoints, v.after(cp.Size), h)
		}
		return grown, err
	}
	if _, err := v.edge(ctx, cp); err != nil {
		return false, cannotLook(err)
	}
	v.checkpoints = slices.Insert(v.checkpoints, v.after(cp.Size), h)
	return true, nil
}

// maxNewer bounds how many checkpoints are read that were kept meanwhile.
const maxNewer = 1000

// newerKept takes in the checkpoints in history/ that were kept since they were collected and that a known key has signed,
// if they are greater than the tree that was walked.
func (v *verifier) newerKept(ctx context.Context) (grown bool, err error) {
	names, dir := 0, v.dir+"history/"
	for key, err := range v.listNames(ctx, store.ListOptions{Prefix: dir, After: v.dir + historyName(v.tree.size), Limit: maxNewer}) {
		if names++; err != nil || names > maxNewer {
			return grown, err
		}
		raw, info, err := v.objectUpTo(ctx, key, "", maxCheckpoint)
		if look := cannotLook(err); look != nil {
			return false, look
		}
		cp, perr := ParseCheckpoint(raw)
		if err != nil || perr != nil || cp.Log != v.key.Name() || cp.Size <= v.tree.size {
			continue
		}
		h := &foundCheckpoint{Checkpoint: cp, name: key, raw: raw, source: history, modified: info.ModTime}
		known := slices.ContainsFunc(v.checkpoints, func(o *foundCheckpoint) bool { return o.name == h.name })
		if known || checkSignature(h, v.keys()) != nil {
			continue
		}
		if _, err := v.edge(ctx, cp); err != nil {
			if look := cannotLook(err); look != nil {
				return false, look
			}
			continue
		}
		v.checkpoints, grown = slices.Insert(v.checkpoints, v.after(cp.Size), h), true
	}
	return grown, nil
}

// after is where a checkpoint of this size belongs, behind those of the same.
func (v *verifier) after(size uint64) int {
	at, _ := slices.BinarySearchFunc(v.checkpoints, size+1, func(h *foundCheckpoint, want uint64) int { return cmp.Compare(h.Size, want) })
	return at
}

// walkAll walks to the greatest checkpoint that is signed. One that bears only
// the signature of a later key is known as such once the change of key was walked.
func (v *verifier) walkAll(ctx context.Context) error {
	for !v.stopped {
		to, err := v.target(ctx)
		if err != nil || to == nil {
			return err
		}
		if err := v.walk(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// settle brings the report into its final form.
func (v *verifier) settle() {
	r := &v.report
	r.Size, r.Root = v.cp.Size, base64.StdEncoding.EncodeToString(v.cp.Root[:])
	c := &v.leaves
	r.First, r.Last, r.LastTime, r.Stopped = c.first, c.last(), c.latest, c.stopped
	r.Records, r.Bytes, r.Gaps, r.CameBack = c.records, c.bytes, int64(c.gaps.count()), c.healed
	r.Deferred, r.Quarantined, r.Packs = c.deferred, c.quarantined, c.packs
	v.settleMissing()
	v.settleAttrs()
	v.settleClock()
	v.judgeComplete()
	if v.opt.Sample > 0 {
		r.Confidence = confidence(r.Checked, r.Checked+r.Skipped)
	}
	bySeq := func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Object, b.Object), cmp.Compare(a.What, b.What))
	}
	slices.SortStableFunc(r.Faults, bySeq)
	slices.SortStableFunc(r.Notices, bySeq)
}

// settleMissing tells the objects that are gone from those that the log says were removed.
func (v *verifier) settleMissing() {
	r, removed := &v.report, &v.leaves.removed
	lost := v.missing.minus(removed)
	n := int64(lost.count())
	r.Missing = n
	r.MissingRanges = append(r.MissingRanges, lost.list[:min(len(lost.list), listed)]...)
	told, gone := int64(0), int64(v.missing.count())-n // gone: as the log says
	slices.SortFunc(v.details, func(a, b Fault) int { return cmp.Compare(a.Seq, b.Seq) })
	v.details = slices.CompactFunc(v.details, func(a, b Fault) bool { return a.Seq == b.Seq })
	for _, f := range v.details {
		if removed.has(f.Seq) {
			f.What = "removed, as the log says: " + v.leaves.whyRemoved(f.Seq)
			v.notice(f)
			gone--
			continue
		}
		v.fault(f)
		told++
	}
	r.FaultCount += n - min(n, told)
	r.NoticeN += max(gone, 0)
}

// settleAttrs decides about the objects that show no attributes.
func (v *verifier) settleAttrs() {
	switch {
	case v.opt.NoAttrs:
		v.incomplete("headers and metadata were not compared, as asked")
	case v.bareN > 0 && v.shown == 0:
		v.noticef("", "no object here shows the headers and metadata that it had: this is a plain copy of the bucket, or they were taken away from all of them")
		v.incomplete("headers and metadata of %d objects could not be compared: there are none here", v.bareN)
	case v.bareN > 0:
		for _, f := range v.bare {
			if v.leaves.removed.has(f.Seq) { // the attributes go first
				f.What += "; removed, as the log says: " + v.leaves.whyRemoved(f.Seq)
				v.notice(f)
				continue
			}
			v.fault(f)
		}
		v.report.FaultCount += v.bareN - int64(len(v.bare))
	}
}

// settleClock tells where the clocks differ.
func (v *verifier) settleClock() {
	c := &v.report.Clock
	if v.early != nil {
		v.noticef(v.early.Object, "%d objects are older than the arrival of their records, up to %s; the first one met: record %d: %s", c.Early, c.MaxEarly.Round(time.Second), v.early.Seq, v.early.What)
	}
	if c.Late > 0 {
		v.noticef("", "%d objects were stored, by the store's clock, more than %s after their records arrived, up to %s: after an outage, or this is a copy, or the arrival was dated back", c.Late, v.opt.ClockBound, c.MaxLate.Round(time.Second))
	}
}

// judgeComplete says what keeps the log from being complete.
func (v *verifier) judgeComplete() {
	r := &v.report
	if n := r.Deferred + r.Quarantined; n > 0 {
		v.incomplete("%d records are not in the bucket, as the log says: %d deferred, %d quarantined: \"indelible status\" beside the writer says whether it still has them", n, r.Deferred, r.Quarantined)
	}
	switch {
	case r.Packs == 0 || v.opt.Packs != nil && !v.opt.NoRows:
	case v.opt.NoRows:
		v.incomplete("the rows of %d packs were not read, as asked: their objects are those that were logged, and what is in them was not looked at", r.Packs)
	default:
		v.incomplete("the rows of %d packs were not read: there is no reader for them here", r.Packs)
	}
	age := v.start.Sub(r.LastTime)
	switch {
	case r.LastTime.IsZero():
		v.incomplete("the log has no leaf that was read")
	case v.opt.MaxAge > 0 && age > v.opt.MaxAge:
		v.incomplete("the log's last word is from %s, %s ago: more than %s", r.LastTime.Format(time.RFC3339), age.Round(time.Second), v.opt.MaxAge)
	case v.opt.MaxAge > 0 && r.Witnessed != nil && v.start.Sub(r.Witnessed.Time) > v.opt.MaxAge:
		v.incomplete("the newest checkpoint with a quorum of witnesses was cosigned at %s: more than %s ago", r.Witnessed.Time.Format(time.RFC3339), v.opt.MaxAge)
	case v.opt.MaxAge == 0 && !r.Stopped && age > silence:
		v.incomplete("the log's last word is from %s, and it was no stop: its writer is dead, cut off, or the bucket was put back", r.LastTime.Format(time.RFC3339))
	}
}

// progress tells how far it is, twice a second at most.
func (v *verifier) progress(leaves, size uint64) {
	now := time.Now()
	if v.opt.Progress == nil || now.Sub(v.told) < 500*time.Millisecond && leaves < size {
		return
	}
	v.told = now
	p := Progress{Leaves: leaves, Size: size, Elapsed: now.Sub(v.start)}
	v.mu.Lock()
	p.Records, p.Bytes = v.report.Checked, v.report.CheckedBytes
	v.mu.Unlock()
	if done := leaves - min(leaves, v.report.From); done > 0 {
		p.Left = time.Duration(float64(p.Elapsed) / float64(done) * float64(size-leaves))
	}
	v.opt.Progress(p)
}
