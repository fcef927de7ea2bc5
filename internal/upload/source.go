package upload

import (
	"context"
	"iter"

	"indelible/internal/record"
)

// Source is where the records to deliver come from. *spool.Spool is one. Its
// iterators hold no lock between two items: an iteration may stand still for
// hours while the store is down, and the other methods go on.
type Source interface {
	// Entries yields the durable records from seq on, in seq order, without
	// loading them, up to the newest at the time of the call. Records settled
	// before (in this run or an earlier one) are skipped. Two errors do not end
	// the iteration: a *record.GapError takes the place of a range that damage made
	// unreadable, and a *record.ReadError with its Seq that of a record that the
	// disk does not give back at the moment. Any other error ends it.
	Entries(ctx context.Context, from record.Seq) iter.Seq2[record.Entry, error]
	// Entry is one record that is durable and not released, or parked; false
	// if there is none with this seq. It fails with a *record.GapError for one that
	// is lost, and with a *record.ReadError for one that cannot be read now.
	//
	// The Open of an entry, and the body that it opens, fail with the same two errors.
	Entry(ctx context.Context, seq record.Seq) (record.Entry, bool, error)
	// Wait returns once a record with a seq greater than after is durable, and
	// tells the newest durable seq. An Entries begun after that yields every
	// unsettled record up to it, so what it skips is known to be settled.
	Wait(ctx context.Context, after record.Seq) (record.Seq, error)
	// Settle notes what became of records, in any order; settling again is no
	// error. Stored outcomes survive a kill of the process and need no fsync:
	// after a power loss such a record is merely delivered again. A Deferred or
	// Quarantined record is durably parked before Settle returns: Release no
	// longer waits for it, and Parked yields it until it is settled as Stored
	// (settling it again as Deferred or Quarantined changes its state and reason).
	// A record that must be parked and whose body the disk no longer gives
	// back is fenced off instead: Settle fails with the *record.GapError that
	// covers it, and Entries yields that gap from then on. One that cannot be read
	// now may be Deferred all the same: it stays where it is. Parked records come one per call.
	Settle(ctx context.Context, outcomes ...record.Outcome) error
	// Parked yields the records that were parked and not stored since, in seq
	// order, with their state and reason. One that could not be read when it was
	// Deferred may have no more than a Seq in its Info.
	Parked(ctx context.Context) iter.Seq2[record.ParkedEntry, error]
	// Release frees everything up to and including upto: every record in it is
	// settled and proven, or lies in a gap. It never frees what was parked.
	Release(ctx context.Context, upto record.Seq) error
	// Released is the upto of the last Release, 0 if there was none.
	Released() record.Seq
}

// Ledger proves what was stored, before it is released. It is the place of the
// transparency log between "stored" and "released". With a ledger a record is
// settled as Stored only after a checkpoint covers it, so that after a crash
// everything unproven is delivered, and thus added, again: what a ledger finds
// in its own last checkpoint already, it passes over.
type Ledger interface {
	// Ready returns nil once the destination is known to hold this log, or to
	// hold none yet: before that no record is delivered. While it fails it is
	// asked again, for ever; an error that no retry helps is the business of
	// whoever owns the ledger.
	Ready(ctx context.Context) error
	// Add takes outcomes in seq order, each seq once in a run, gaps included:
	// State Stored, Deferred or Quarantined. What was parked comes again, out of order, when
	// its state changes. Attrs are not part of these outcomes.
	Add(ctx context.Context, outcomes ...record.Outcome) error
	// Gap takes a fenced range in its place in the order.
	Gap(ctx context.Context, gap record.GapError) error
	// Checkpoint returns once everything added is covered by a signed checkpoint in the store.
	Checkpoint(ctx context.Context) error
}
