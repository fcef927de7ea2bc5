package proof

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"indelible/internal/store"
)

// source is where a checkpoint was found.
type source int

const (
	current  source = iota // the log's checkpoint
	history                // kept in history/
	older                  // an older version of one of these, in a bucket that keeps versions
	external               // from elsewhere than the bucket: it must be one of the log's
)

// foundCheckpoint is one checkpoint that was found. Nothing that it says is
// believed before its signature was checked.
type foundCheckpoint struct {
	Checkpoint
	name     string // where it was found
	raw      []byte
	source   source
	modified time.Time // by the store's clock; zero: not known

	tried   bool      // its tree was walked
	broken  bool      // its right edge in the bucket does not make its root
	reached bool      // the walk came to its size
	tree    tlog.Hash // the root that the tree had there
	latest  time.Time // the latest time in the leaves below it
}

// versionLister is a store that keeps older versions of its objects.
type versionLister interface {
	// Versions yields the versions of the objects below prefix that are not the newest or lie behind
	// a delete marker, for each key the newest first. It yields none where the bucket keeps none.
	Versions(ctx context.Context, prefix string) iter.Seq2[store.Info, error]
}

// Older versions of the checkpoint that are read: the newest, and of the rest, evenly, so many or up to twice as many.
const (
	newestVersions = 1000
	sparseVersions = 1000
)

// keptObject is where a checkpoint may lie.
type keptObject struct {
	key, version string
	source       source
}

// collect reads every checkpoint that there is, the newest last: a log that
// grows meanwhile is then never behind its history.
func (v *verifier) collect(ctx context.Context) error {
	var list []keptObject
	for key, err := range v.listNames(ctx, store.ListOptions{Prefix: v.dir + "history/"}) { // what cannot be read has a name as well
		if err != nil {
			return err
		}
		if len(list) == maxNames {
			v.unkept++
			continue
		}
		list = append(list, keptObject{key, "", history})
	}
	list = append(list, v.olderVersions(ctx)...)
	if err := v.readCheckpoints(ctx, list); err != nil {
		return err
	}
	if err := v.readCheckpoints(ctx, []keptObject{{v.dir + "checkpoint", "", current}}); err != nil {
		return err
	}
	for _, k := range v.opt.Kept {
		v.addCheckpoint(k.Name, k.Checkpoint, external, time.Time{})
	}
	v.sortCheckpoints()
	return nil
}

func (v *verifier) sortCheckpoints() {
	slices.SortStableFunc(v.checkpoints, func(a, b *foundCheckpoint) int { return cmp.Compare(a.Size, b.Size) })
}

// olderVersions are those of the checkpoint and of history/: in a bucket that
// keeps versions the evidence of a rollback is still there.
func (v *verifier) olderVersions(ctx context.Context) []keptObject {
	lister, ok := v.direct.(versionLister)
	if !ok {
		return nil
	}
	var list []keptObject
	for _, name := range []string{"checkpoint", "history/"} {
		of := thinned{stride: 1}
		for info, err := range lister.Versions(ctx, v.dir+name) {
			if err != nil {
				v.noticef(v.dir+name, "the versions of this object cannot be listed, so a rollback may go unseen: %v", err)
				break
			}
			of.add(keptObject{info.Key, info.Version, older})
		}
		list = append(append(list, of.newest...), of.rest...)
	}
	return list
}

// thinned is the first of what was added, and of the rest evenly some, in memory that does not grow with it.
type thinned struct {
	newest, rest []keptObject
	seen, stride int // of those behind newest, each so many were kept
}

func (t *thinned) add(o keptObject) {
	if len(t.newest) < newestVersions {
		t.newest = append(t.newest, o)
		return
	}
	if t.seen++; (t.seen-1)%t.stride != 0 {
		return
	}
	if t.rest = append(t.rest, o); len(t.rest) < 2*sparseVersions {
		return
	}
	for i := range sparseVersions {
		t.rest[i] = t.rest[2*i]
	}
	clear(t.rest[sparseVersions:])
	t.rest, t.stride = t.rest[:sparseVersions], 2*t.stride
}

// readCheckpoints reads checkpoints side by side.
func (v *verifier) readCheckpoints(ctx context.Context, list []keptObject) error {
	return inParallel(ctx, v.opt.Parallel, slices.Values(list), func(ctx context.Context, o keptObject) error {
		raw, info, err := v.objectUpTo(ctx, o.key, o.version, maxCheckpoint)
		name := o.key
		if o.version != "" {
			name += " version " + o.version
		}
		switch {
		case store.ClassOf(err) == store.NotFound && o.source == current:
			v.faultf(name, "the checkpoint is missing")
			return nil
		case store.ClassOf(err) == store.NotFound:
			return nil // it went away since it was listed
		case cannotLook(err) != nil:
			return err
		case err != nil:
			v.tell(o.source)(Fault{Object: name, What: fmt.Sprintf("the checkpoint cannot be read: %v", err)})
			return nil
		}
		if h := v.addCheckpoint(name, raw, o.source, info.ModTime); h != nil && o.source == history && v.dir+historyName(h.Size) != o.key {
			v.noticef(name, "the checkpoint kept here has size %d, which its name does not tell", h.Size)
		}
		return nil
	})
}

// tell is how something wrong with a checkpoint is reported: anybody who
// can write to the bucket can put something into history/.
func (v *verifier) tell(s source) func(Fault) {
	if s == current || s == external {
		return v.fault
	}
	return v.notice
}

func (v *verifier) addCheckpoint(name string, raw []byte, s source, modified time.Time) *foundCheckpoint {
	h, err := ParseCheckpoint(raw)
	if err == nil && h.Log != v.key.Name() {
		err = fmt.Errorf("the checkpoint is that of log %q, not of %s", h.Log, v.key.Name())
	}
	if err != nil {
		v.tell(s)(Fault{Object: name, What: err.Error()})
		return nil
	}
	h.Log = v.key.Name() // the same text, and not a part of a long one that would be kept with it
	cp := &foundCheckpoint{Checkpoint: h, name: name, raw: raw, source: s, modified: modified}
	v.mu.Lock()
	defer v.mu.Unlock()
	if s == history || s == older {
		if v.keptBytes > maxKept { // anybody who can write to the bucket can put these there
			v.unkept++
			return nil
		}
		v.keptBytes += len(raw) + keptEach
	}
	v.checkpoints = append(v.checkpoints, cp)
	return cp
}

const (
	// maxKept bounds the memory for checkpoints in history/ and older versions, whose signatures are checked at the
	// end: those of 20 years at one an hour are a third of it.
	maxKept  = 256 << 20
	keptEach = 400 // what one takes beside its bytes
	// maxNames bounds the names of objects in history/ that are looked at: those of 20 years are half of it.
	maxNames = maxKept / 2 / keptEach
)

// target is the checkpoint whose tree is to be walked next: the greatest in the
// bucket that bears a signature valid for its size as far as the changes of key are known, and
// whose right edge in the bucket makes its root. Where no edge does, the newest checkpoint is
// walked all the same, so that the report says what is wrong with its tree. nil: none is left.
func (v *verifier) target(ctx context.Context) (*foundCheckpoint, error) {
	keys := v.keys()
	var broken *foundCheckpoint
	for _, h := range slices.Backward(v.checkpoints) {
		if h.source == external || h.tried || h.Size < v.tree.size || h.Size == v.tree.size && v.walked || checkSignature(h, keys) != nil {
			continue
		}
		if !h.broken {
			_, err := v.edge(ctx, h.Checkpoint)
			if look := cannotLook(err); look != nil {
				return nil, look
			}
			h.broken = err != nil
		}
		if !h.broken {
			h.tried = true
			return h, nil
		}
		if broken == nil || h.source == current {
			broken = h
		}
	}
	if broken != nil {
		broken.tried = true
	}
	return broken, nil
}

// reachCheckpoints notes the root and the latest time at the size that the walk has come to.
func (v *verifier) reachCheckpoints() {
	for v.nextCheckpoint < len(v.checkpoints) && v.checkpoints[v.nextCheckpoint].Size <= v.compact.size {
		if h := v.checkpoints[v.nextCheckpoint]; h.Size == v.compact.size && !v.broken {
			h.reached, h.tree, h.latest = true, v.compact.root(), v.leaves.latest
		}
		v.nextCheckpoint++
	}
}

// judgeCheckpoints judges every checkpoint once the tree was walked as far as it could be.
func (v *verifier) judgeCheckpoints() {
	keys := v.keys()
	newest := uint64(0) // size of the checkpoint
	signed := 0
	var valid []*foundCheckpoint
	for _, h := range v.checkpoints {
		if err := checkSignature(h, keys); err != nil {
			what := fmt.Sprintf("the checkpoint of size %d: %v", h.Size, err)
			if h.source == history || h.source == older {
				what = fmt.Sprintf("no checkpoint of this log, and nothing was concluded from it: size %d: %v", h.Size, err)
			}
			v.tell(h.source)(Fault{Object: h.name, What: what})
			continue
		}
		valid = append(valid, h)
		if h.source != external {
			signed++
		}
		if h.source == current {
			newest = h.Size
		}
	}
	switch {
	case signed == 0 && v.opt.Begun && len(v.checkpoints) == 0:
		v.faultf(v.dir, "the log %s has begun, and has no checkpoint here yet: the first comes within a minute, or what proof.checkpoint_every is set to: verify it then; \"indelible status\" says why if it does not come", v.key.Name())
	case signed == 0:
		v.faultf(v.dir, "there is no checkpoint here that is signed by the key of log %s: nothing can be verified; is it the right place and key?", v.key.Name())
	}
	var last *foundCheckpoint // the greatest that agrees
	for _, h := range valid {
		if h.Size < v.report.From {
			continue // what lies before the checkpoint that was given was audited then
		}
		last = v.judgeCheckpoint(h, newest, last)
	}
	if v.opt.Policy != nil {
		v.judgeWitnesses(valid)
	}
}

// judgeWitnesses demands the policy's quorum of the newest checkpoint, which covers all before it. Those before may lack
// it: a log goes on while its witnesses are away.
func (v *verifier) judgeWitnesses(valid []*foundCheckpoint) {
	var newest *foundCheckpoint
	enough := false // of them cosigned the newest
	for _, h := range slices.Backward(valid) {
		if h.source == external || !h.reached || h.tree != h.Root {
			continue
		}
		c, ok := v.opt.Policy.judge(h.raw)
		if ok && v.report.Witnessed == nil {
			v.report.Witnessed = &Witnessed{h.Size, c}
		}
		if h.source == current && newest == nil { // there are two where the log grew meanwhile
			newest, enough = h, ok
		}
	}
	if w := v.report.Witnessed; newest != nil && !enough {
		what := "no checkpoint here does"
		switch {
		case w != nil && w.Size >= newest.Size:
			what = fmt.Sprintf("one that is kept here, of size %d, does: the cosignatures were taken away from this one", w.Size)
		case w != nil:
			what = fmt.Sprintf("the newest that does has size %d, so leaves %d to %d rest on the log's own word", w.Size, w.Size, newest.Size-1)
		}
		v.faultf(newest.name, "%v; %s", v.opt.Policy.Check(newest.raw), what)
	}
}

func (v *verifier) judgeCheckpoint(h *foundCheckpoint, newest uint64, last *foundCheckpoint) *foundCheckpoint {
	switch {
	case h.Size > newest && h.source == external:
		v.faultf(h.name, "this checkpoint has size %d, but the bucket's only %d: the bucket was put back to an older state", h.Size, newest)
	case h.Size > newest:
		v.faultf(h.name, "the checkpoint kept here has size %d, but the newest only %d: the checkpoint was replaced by an older one", h.Size, newest)
	}
	switch {
	case !h.reached && h.Size > v.tree.size && h.Size > newest: // said above
	case !h.reached:
		v.faultf(h.name, "the checkpoint of size %d cannot be compared: too much of the tree is gone", h.Size)
	case h.tree == h.Root:
		v.report.Checkpoints++
		v.compareClock(h)
		return h
	case last != nil && last.Size == h.Size:
		v.faultf(h.name, "two trees of size %d were signed: the log was forked (the other is in %s)", h.Size, last.name)
	case last == nil:
		v.faultf(h.name, "the tree in the bucket is not the one that the checkpoint of size %d states: a leaf among the first %d was changed, added or removed", h.Size, h.Size)
	default:
		v.faultf(h.name, "the tree in the bucket is not the one that the checkpoint of size %d states, but agrees with that of size %d: a leaf from %d to %d was changed, added or removed", h.Size, last.Size, last.Size, h.Size-1)
	}
	return last
}

// checkSignature says whether a key that is valid for the checkpoint's size has signed it.
func checkSignature(h *foundCheckpoint, keys []trusted) error {
	var valid []publicKey
	for _, k := range keys {
		if h.Size >= k.from && h.Size <= k.to {
			valid = append(valid, k.publicKey)
		}
	}
	if _, err := openCheckpoint(h.raw, h.Log, valid...); err != nil {
		return fmt.Errorf("it does not bear the log's signature: %w", err)
	}
	return nil
}

// trusted is a key and the sizes of the checkpoints that it may sign.
type trusted struct {
	publicKey
	from, to uint64
}

// keys follows the changes of key in the log from the one that the caller
// trusts, forward and backward. Each is signed by both keys for the one tree that it
// stands in. A checkpoint that covers the change needs the new key; a smaller one the old key.
func (v *verifier) keys() []trusted {
	chain := []trusted{{v.key, 0, math.MaxInt64}}
	for _, c := range v.leaves.changes { // forward
		if newest := &chain[len(chain)-1]; c.old.includes(newest.publicKey) {
			newest.to = c.index
			chain = append(chain, trusted{c.new, c.index + 1, math.MaxInt64})
		}
	}
	for _, c := range slices.Backward(v.leaves.changes) {
		if c.new.includes(chain[0].publicKey) {
			chain[0].from = c.index + 1
			chain = append([]trusted{{c.old, 0, c.index}}, chain...)
		}
	}
	return chain
}

// compareClock compares the times in the leaves with the store's clock: a
// checkpoint cannot cover a leaf from its future.
func (v *verifier) compareClock(h *foundCheckpoint) {
	if h.modified.IsZero() || h.latest.IsZero() || v.opt.ClockBound <= 0 {
		return
	}
	if ahead := h.latest.Sub(h.modified); ahead > v.opt.ClockBound {
		v.noticef(h.name, "the leaves below this checkpoint tell of times up to %s, %s after the store received it: the writer's clock was ahead", h.latest.Format(time.RFC3339), ahead.Round(time.Second))
	}
}
