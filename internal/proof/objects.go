package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"indelible/internal/record"
	"indelible/internal/store"
)

// job is one object to be read and compared with its leaf.
type job struct {
	seq     record.Seq
	key     string // as the leaf has it
	object  string // where it is to be found here
	version string
	size    int64
	digest  record.Digest
}

// objectKey is where an object lies in this store: a copy of the part below the
// log's prefix lacks the prefix that the leaves have.
func (v *verifier) objectKey(key string) string {
	if rest, ok := strings.CutPrefix(key, v.sense.prefix); v.sense.told && ok {
		return v.base + rest
	}
	return key
}

// chance is true for this percentage of calls.
func chance(percent float64) bool { return rand.Float64()*100 < percent }

// startReaders starts the goroutines that read objects; wait returns when the jobs are done.
// One that cannot look at all cancels the whole.
func (v *verifier) startReaders(ctx context.Context, cancel context.CancelCauseFunc) (wait func()) {
	v.jobs = make(chan job, 2*v.opt.Parallel)
	var wg sync.WaitGroup
	for range v.opt.Parallel {
		wg.Go(func() {
			r := objectReader{v: v, hash: sha256.New(), buf: make([]byte, 128<<10)}
			for j := range v.jobs {
				if ctx.Err() != nil {
					continue // drain
				}
				if err := r.check(ctx, j); err != nil {
					cancel(err)
				}
			}
		})
	}
	return wg.Wait
}

func (v *verifier) send(ctx context.Context, j job) error {
	select {
	case v.jobs <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// objectReader is one goroutine's means.
type objectReader struct {
	v    *verifier
	hash hash.Hash
	buf  []byte
}

// check reads an object and reports what is wrong with it. Its error means that nobody can look.
func (r *objectReader) check(ctx context.Context, j job) error {
	body, info, err := r.v.store.Get(ctx, j.object, store.GetOptions{})
	newest := err == nil && (j.version == "" || info.Version == "" || info.Version == j.version)
	if !newest && j.version != "" && (err == nil || store.ClassOf(err) == store.NotFound) {
		what := "the version that was written is there, but another lies on top of it"
		if err == nil {
			body.Close()
		} else {
			what = "the version that was written is there, but hidden behind a delete marker"
		}
		top := err
		if body, _, err = r.v.store.Get(ctx, j.object, store.GetOptions{Version: j.version}); err == nil {
			r.v.notice(Fault{Seq: j.seq, Key: j.key, Object: j.object, What: what})
		} else if store.ClassOf(err) == store.NotFound && top == nil {
			r.v.fault(Fault{Seq: j.seq, Key: j.key, Object: j.object, What: "the version that was written is gone; another is in its place"})
			return nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cannotLook(err) != nil:
		return err
	case store.ClassOf(err) == store.NotFound:
		r.v.miss(Fault{Seq: j.seq, Key: j.key, Object: j.object, What: "the object is missing"})
		return nil
	case err != nil:
		r.v.fault(Fault{Seq: j.seq, Key: j.key, Object: j.object, What: "the object cannot be read: " + err.Error()})
		return nil
	}
	defer body.Close()
	return r.compare(j, body)
}

// compare fails where the store can no longer be asked.
func (r *objectReader) compare(j job, body io.Reader) error {
	r.hash.Reset()
	// One byte more than there should be, so that a longer object is noticed and not read to its end.
	size, err := io.CopyBuffer(struct{ io.Writer }{r.hash}, struct{ io.Reader }{io.LimitReader(body, j.size+1)}, r.buf)
	var sum record.Digest
	r.hash.Sum(sum[:0])
	r.v.read(size)
	x := Fault{Seq: j.seq, Key: j.key, Object: j.object}
	switch {
	case cannotLook(err) != nil:
		return err
	case err != nil:
		x.What = "the object cannot be read: " + err.Error()
	case size < j.size:
		x.What = fmt.Sprintf("the object was truncated: it has %d bytes, the log says %d", size, j.size)
	case size > j.size:
		x.What = fmt.Sprintf("the object was changed: it has more than the %d bytes that the log says", j.size)
	case sum != j.digest:
		x.What = fmt.Sprintf("the object was changed: its SHA-256 is %s, the log says %s", sum, j.digest)
	default:
		return nil
	}
	r.v.fault(x)
	return nil
}

// nameSet holds the names of very many objects, as keyed 64-bit hashes.
type nameSet struct {
	seed   maphash.Seed
	hashes []uint64
}

func newNameSet() *nameSet { return &nameSet{seed: maphash.MakeSeed()} }

func (n *nameSet) add(name string) { n.hashes = append(n.hashes, maphash.String(n.seed, name)) }

func (n *nameSet) has(name string) bool {
	_, ok := slices.BinarySearchFunc(n.hashes, maphash.String(n.seed, name), func(a, b uint64) int { return cmp.Compare(a, b) })
	return ok
}

// findExtras lists the objects that no leaf names. They are no fault: others may use the bucket too.
func (v *verifier) findExtras(ctx context.Context) error {
	if v.names == nil {
		return nil
	}
	slices.Sort(v.names.hashes)
	for info, err := range v.store.List(ctx, store.ListOptions{Prefix: v.base}) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(info.Key, v.base+"_indelible/") || v.names.has(info.Key) {
			continue
		}
		v.report.Extras++
		if len(v.report.ExtraKeys) < listed {
			v.report.ExtraKeys = append(v.report.ExtraKeys, info.Key)
		}
	}
	return nil
}
