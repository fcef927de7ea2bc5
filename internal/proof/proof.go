// Package proof keeps the transparency log of a spool: one leaf for each
// record that is stored, in the order of their seq, in a Merkle tree whose
// signed checkpoint is in the bucket; and it verifies such a log from nothing but
// the bucket and the public key. The form is that of C2SP tlog-tiles.
//
// What is written in which order, and why a crash at any point leaves one
// tree per size: docs/design/proof.md.
package proof

import (
	"context"
	"errors"
	"fmt"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
)

// ErrForked is wrapped by every error that says that the bucket does not hold
// the log that this writer left there: somebody else writes under the same name, or the
// bucket or the data directory was put back to an older state. The writer
// then refuses everything; no retry helps.
var ErrForked = errors.New("the log has been forked")

// ErrOrder is wrapped when outcomes are not added in the order of their seq.
var ErrOrder = errors.New("out of order")

// Times that the log keeps when nothing else is asked for.
const (
	DefaultCheckpointEvery = time.Minute
	TickEvery              = 10 * time.Minute
)

// Options are how a Log is opened. Disk is required.
type Options struct {
	// Disk is the data directory: the writer's own memory is in proof/state
	// there, and it alone makes sure that no two trees of one size are signed.
	Disk disk.FS
	// Base is what stands before the first '{' of the destination's prefix.
	Base string
	// Next is the key to which a rotation that was cut short was about to change; zero if none.
	Next Key
	// Origin is set where the log goes on where another one ended. What was parked
	// before Origin.First has its place in that other log: such a record gets a Stored leaf
	// here once it is stored, and none before.
	Origin Origin
	// MaxPending is how many leaves are held in memory before Add writes a
	// checkpoint by itself; 0 is 65,536.
	MaxPending int
	// Parallel is how many objects are put at once; 0 is 8.
	Parallel int
	// Witnesses are asked to cosign each checkpoint before it is published. One
	// that does not answer, or refuses, within WitnessTimeout (0 is 5 s) delays it by
	// no more than that: Events.Failed is told with a *WitnessError.
	Witnesses      []Witness
	WitnessTimeout time.Duration
	// Packs reads the pack of a record that comes again; nil: such a record is compared with nothing.
	Packs Packs
	// Pacer decides when the next put may go to the store; nil: Parallel alone bounds them.
	Pacer  Pacer
	Events Events
}

// Pacer paces puts together with what others put into the same store. The uploader is one.
type Pacer interface {
	// Pace returns once one more put may begin, or with ctx's error. done is
	// called once, with the put's error or nil.
	Pace(ctx context.Context) (done func(error), err error)
}

// Events are told what happens; nil funcs are allowed. They are called with
// no lock held and should not block.
type Events struct {
	// Checkpoint: a checkpoint was published; records is the last seq it proves.
	Checkpoint func(size uint64, records record.Seq)
	// Repaired: something in the bucket was not as this log had left it, and was put right.
	Repaired func(what string)
	// Failed: the background work of Run met an error and goes on.
	Failed func(err error)
}

// Stats is a snapshot of a Log.
type Stats struct {
	Log        string
	Size       uint64     // leaves that the published checkpoint covers
	Proven     record.Seq // the last seq that it covers
	Pending    int        // leaves behind it
	Checkpoint time.Time  // when it was published; zero if there is none
	Cosigned   int        // how many witnesses cosigned it; 0 if this process published none
}

// errOrder says which seq should have come.
func errOrder(want, got record.Seq) error {
	return fmt.Errorf("proof: record %d comes where %d should: %w", got, want, ErrOrder)
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
