package proof

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"indelible/internal/record"
	"indelible/internal/store"
)

// KeptHead is a checkpoint from elsewhere than the bucket: one that an auditor
// kept, or that a data directory remembers. The log must have grown from it.
type KeptHead struct {
	Name       string // where it comes from, for the report
	Checkpoint []byte
}

// VerifyOptions narrow or widen a Verify. The tree itself is always verified whole.
type VerifyOptions struct {
	Since    time.Time      // read only the objects of records that arrived since; zero: all
	Sample   float64        // read this percentage of the objects, chosen at random; 0: all
	Kept     []KeptHead     // the log must be consistent with these too
	Parallel int            // objects read at once; 0 is 32
	Progress func(Progress) // called now and then, never concurrently; may be nil
	NoExtras bool           // do not look for objects that no leaf names
}

// Verify decides from nothing but the store and the log's public key whether
// every record that the log names is there and unchanged: signatures, the
// consistency of all kept heads, every bundle and tile, the order of seq, each
// object's bytes, and the sense of the lifecycle leaves. base is what stands before the log's
// _indelible/ in the store: a copy of the bucket, or of the part below the
// prefix, is as good as the original.
//
// What is wrong with the log is in the report. An error means that Verify
// could not look: the store could not be reached, or the key is none.
func Verify(ctx context.Context, st store.Store, base, vkey string, o VerifyOptions) (Report, error) {
	start := time.Now()
	key, err := note.NewVerifier(vkey)
	if err != nil {
		return Report{}, fmt.Errorf("verify: the public key is none: %w", err)
	}
	if o.Parallel <= 0 {
		o.Parallel = 32
	}
	patient := patientStore{st}
	v := &verifier{
		reader: newReader(patient, base, key.Name()), base: slashed(base), key: key, vkey: vkey, opt: o, start: start,
		report: Report{Log: key.Name(), Faults: []Fault{}, Notices: []Fault{}, ExtraKeys: []string{}},
	}
	v.findings.report = &v.report
	if err := v.run(ctx); err != nil {
		return Report{}, fmt.Errorf("verify log %s: %w", key.Name(), err)
	}
	v.settle()
	v.report.Seconds = time.Since(start).Seconds()
	return v.report, nil
}

// verifier is one Verify under way. Everything but the findings is owned by
// the goroutine that walks the tree.
type verifier struct {
	reader
	findings
	base  string
	key   note.Verifier
	vkey  string
	opt   VerifyOptions
	start time.Time
	told  time.Time // when Progress was last called

	report Report
	head   Head          // whose tree is walked: the checkpoint's
	heads  []*signedHead // by size
	tree   edge
	broken bool   // the tree cannot be recomputed from here on
	parent tileAt // the level-1 tile last read
	sense  sense
	names  *nameSet
	jobs   chan job
}

func (v *verifier) run(ctx context.Context) error {
	if err := v.findHeads(ctx); err != nil {
		return err
	}
	if len(v.heads) == 0 {
		return nil // said already
	}
	if !v.opt.NoExtras {
		v.names = newNameSet()
	}
	v.sense = sense{findings: &v.findings, asides: map[record.Seq]aside{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := v.startReaders(ctx, cancel)
	werr := v.walk(ctx)
	close(v.jobs)
	wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if werr != nil {
		return werr
	}
	v.sense.end(v.start)
	v.checkHeads()
	return v.findExtras(ctx)
}

// settle brings the report into its final form.
func (v *verifier) settle() {
	r := &v.report
	for _, f := range v.missing {
		if reason, ok := v.sense.wasRemoved(f.Seq); ok {
			f.What = "removed, as the log says: " + reason
			v.notice(f)
			continue
		}
		v.fault(f)
	}
	for _, seq := range slices.Sorted(maps.Keys(v.sense.asides)) {
		a := v.sense.asides[seq]
		if a.kind == Gap {
			continue
		}
		what := "not in the bucket, as the log says: deferred: "
		if a.kind == Quarantined {
			what = "not in the bucket, as the log says: quarantined: "
			r.Quarantined++
		} else {
			r.Deferred++
		}
		v.notice(Fault{Seq: seq, What: what + a.reason})
	}
	bySeq := func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Object, b.Object), cmp.Compare(a.What, b.What))
	}
	slices.SortStableFunc(r.Faults, bySeq)
	slices.SortStableFunc(r.Notices, bySeq)
	r.Size, r.Root = v.head.Size, base64.StdEncoding.EncodeToString(v.head.Root[:])
	r.First, r.Last, r.LastTime = v.sense.first, v.sense.last(), v.sense.latest
	r.Records, r.Bytes, r.Gaps = v.sense.records, v.sense.bytes, v.sense.gaps
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
	if leaves > 0 {
		p.Left = time.Duration(float64(p.Elapsed) / float64(leaves) * float64(size-leaves))
	}
	v.opt.Progress(p)
}
