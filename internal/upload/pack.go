package upload

import (
	"context"
	"io"
	"iter"
	"slices"
	"time"

	"indelible/internal/disk"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Packing has records delivered as the rows of packs, and not each as an object. Dir, Format and Names are
// required; zero values of the rest mean the defaults named here.
type Packing struct {
	Dir    disk.FS // where packs are built; nobody else writes there
	Format PackFormat
	Names  PackNamer
	// A pack is closed when its file has so many bytes (64 MiB) or its rows are so many (100,000), or so long after it was begun (1 min).
	MaxBytes   int64
	MaxRecords int
	MaxAge     time.Duration
	// MaxInline is the longest body that a row holds; a longer one is an object beside the pack (8 MiB).
	MaxInline int64
	// MaxRead is the longest body that is read for the fields of a row which does not hold it (32 MiB).
	MaxRead int64
	// Finish sends on what an earlier run has packed, and delivers all else as objects.
	Finish bool
}

// PackFormat is how a pack is written and read. It is safe for concurrent use.
type PackFormat interface {
	// New begins a pack of this log, which is written to w in order.
	New(w io.Writer, log string) (PackWriter, error)
	// Rows yields the rows of a pack, as proof.Packs has it.
	Rows(ctx context.Context, file io.ReaderAt, size int64, bodies bool) iter.Seq2[PackRow, error]
}

// PackWriter writes one pack. It is for one goroutine. After an error it is of no use.
type PackWriter interface {
	// Add appends a row. body is the caller's again when it returns. Where row.Object is set, the row does not hold it; it
	// is nil then where it is longer than Packing.MaxRead.
	Add(row record.Row, body []byte) error
	// Size is how many bytes the file has so far, or a little more.
	Size() int64
	// Close writes what is left. It does not close the io.Writer.
	Close() error
}

// PackRow is one row of a pack, with its body.
type PackRow struct {
	record.Row
	Body io.Reader // nil where the body was not asked for, or lies in Row.Object
}

// PackNamer decides about the names of packs. layout.Objects is one.
type PackNamer interface {
	// PackKey is the stored key of a pack whose first record arrived at that time.
	PackKey(log string, first, last record.Seq, at time.Time) string
	// PackDay is what the keys of all packs begin with that have their first record from that day.
	PackDay(at time.Time) string
	// BesideKey is the stored key of a body that is too large for a row.
	BesideKey(log string, info record.Info) string
	// Pack is everything but the Body of the object of a pack.
	Pack(p record.Pack, log string) store.Object
}

// PackLedger is a Ledger that proves packs.
type PackLedger interface {
	Ledger
	// Pack takes a pack in its place in the order, as Add takes outcomes. One that comes again must be the same.
	Pack(ctx context.Context, p record.Pack) error
	// Next is the first record that has no place in the order yet; 0 if none has.
	Next(ctx context.Context) (record.Seq, error)
	// PackOf is the pack in which the ledger has a record; false if it has it otherwise or not at all.
	PackOf(ctx context.Context, seq record.Seq) (record.Pack, bool, error)
}

func (p Packing) withDefaults() Packing {
	set(&p.MaxBytes, 64<<20)
	set(&p.MaxRecords, 100_000)
	set(&p.MaxAge, time.Minute)
	set(&p.MaxInline, 8<<20)
	set(&p.MaxRead, 32<<20)
	return p
}

// packsUnderWay is how many packs wait in the directory for the store at most; the rest stays in the spool.
const packsUnderWay = 4

// packFile is a pack on its way to the store. It is owned by the packer until it is sent,
// then by the slot, then by the committer.
type packFile struct {
	record.Pack
	file      string       // its name in the directory; "" if it is in the store alone
	sizes     []int64      // of the bodies, in order
	unseen    []record.Seq // records that could not be compared with their rows, in order
	reason    string       // why they could not; "": they could not be read
	stored    bool         // it is in the store, and was compared with the spool
	recovered bool         // an earlier run closed it: perhaps it is in the store
	strikes   int          // tries in which one of its records could not be read while another could
	adopted   bool         // Size and Digest are those of the object, which has the same rows as the file
}

// sizeOf is the size of a record's body.
func (p *packFile) sizeOf(i int) int64 {
	if i < len(p.sizes) {
		return p.sizes[i]
	}
	return 0
}

// outcomes yields what became of the rows, some at a time; of those that nobody compared nothing.
func (p *packFile) outcomes() iter.Seq[[]record.Outcome] {
	return func(yield func([]record.Outcome) bool) {
		const some = 1024
		for from := 0; from < int(p.Count()); from += some {
			var out []record.Outcome
			for i := from; i < min(from+some, int(p.Count())); i++ {
				if _, unseen := slices.BinarySearch(p.unseen, p.First+record.Seq(i)); unseen {
					continue
				}
				out = append(out, record.Outcome{
					Info: record.Info{Seq: p.First + record.Seq(i), Size: p.sizeOf(i)}, State: record.Stored, Stored: p.Key, Version: p.Version,
				})
			}
			if !yield(out) {
				return
			}
		}
	}
}
