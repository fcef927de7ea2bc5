package proof

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
)

// Fault is one thing that is wrong: what, and where.
type Fault struct {
	Seq    record.Seq `json:"seq,omitempty"`    // the record concerned
	Key    string     `json:"key,omitempty"`    // as stored
	Object string     `json:"object,omitempty"` // where in the store it lies or should lie
	What   string     `json:"what"`
}

// String is the fault on one line.
func (f Fault) String() string {
	s := f.What
	if f.Seq > 0 {
		s = fmt.Sprintf("record %d: %s", f.Seq, s)
	}
	if f.Object != "" {
		s += " (" + f.Object + ")"
	}
	return s
}

// Report is what Verify found. Two words sum it up: OK and Complete.
type Report struct {
	Log  string `json:"log"`
	Size uint64 `json:"size"` // leaves that the checkpoint covers
	Root string `json:"root"` // base64, as in the checkpoint
	From uint64 `json:"from"` // the tree size that was audited before; 0: the whole log was read

	First    record.Seq `json:"first"`     // of the records in the leaves that were read
	Last     record.Seq `json:"last"`      //
	LastTime time.Time  `json:"last_time"` // the latest time that any leaf tells
	Stopped  bool       `json:"stopped"`   // the log's last word is a clean stop
	Records  int64      `json:"records"`   // that the log says are stored
	Bytes    int64      `json:"bytes"`     // of their bodies

	Checked      int64 `json:"checked"` // objects read and compared
	CheckedBytes int64 `json:"checked_bytes"`
	CheckedAttrs int64 `json:"checked_attrs"` // of these, with their headers and metadata
	Skipped      int64 `json:"skipped"`       // not read, because of Since or Sample
	Packs        int64 `json:"packs"`         // that the log says are stored
	CheckedRows  int64 `json:"checked_rows"`  // rows of packs whose bodies were read and compared

	// Confidence is the statement that a sample allows, where one was taken.
	Confidence *Confidence `json:"confidence,omitempty"`

	Checkpoints int `json:"checkpoints"` // signed checkpoints that agree with the tree, the newest included
	// Witnessed is the greatest checkpoint that agrees with the tree and bears the cosignatures that the policy demands; nil: there
	// is none, or no policy.
	Witnessed   *Witnessed `json:"witnessed,omitempty"`
	Deferred    int64      `json:"deferred"`    // records that the log says are not stored yet
	Quarantined int64      `json:"quarantined"` // records that the log says the store refused
	Gaps        int64      `json:"gaps"`        // records that the log says are lost, and that did not come back
	CameBack    int64      `json:"came_back"`   // records that the log said were lost, and that did

	Missing       int64      `json:"missing_count"` // records whose object is gone
	MissingRanges []SeqRange `json:"missing"`       // the first of them

	Clock Clock `json:"clock"`

	Faults     []Fault  `json:"faults"`       // the first of them, by seq
	FaultCount int64    `json:"fault_count"`  // all
	Notices    []Fault  `json:"notices"`      // no faults, but worth knowing
	NoticeN    int64    `json:"notice_count"` // all
	Extras     int64    `json:"extra_count"`  // objects that no leaf names
	ExtraKeys  []string `json:"extra"`        // the first of them
	// OtherLogs are the logs beside this one, under the same prefix, and OfOtherLogs is how many objects their
	// leaves name. Nothing of them was verified.
	OtherLogs   []string `json:"other_logs,omitempty"`
	OfOtherLogs int64    `json:"of_other_logs,omitempty"`
	// ExtrasOverlooked is the share of such objects that the count lacks: 0 up to 8 million objects.
	ExtrasOverlooked float64 `json:"extra_overlooked,omitempty"`

	Incomplete []string `json:"incomplete"` // why the log does not hold everything that it should by now

	Seconds float64 `json:"seconds"`
}

// Witnessed is a checkpoint that a quorum of witnesses has cosigned.
type Witnessed struct {
	Size uint64 `json:"size"`
	Cosignatures
}

// OK says that nothing is missing and nothing was changed, as far as Verify looked.
func (r *Report) OK() bool { return r.FaultCount == 0 }

// Complete says that the log is OK and holds, proven, everything that it
// tells of, up to a moment that is recent enough.
func (r *Report) Complete() bool { return r.OK() && len(r.Incomplete) == 0 }

// Clock is how the times in the leaves compare with what the store says of the same objects.
type Clock struct {
	Compared int64         `json:"compared"`
	Early    int64         `json:"early"` // objects that are older than the arrival of their record, by more than the bound
	Late     int64         `json:"late"`  // stored later than they arrived, by more than the bound
	MaxEarly time.Duration `json:"max_early_ns"`
	MaxLate  time.Duration `json:"max_late_ns"`
}

// Progress is how far Verify has come.
type Progress struct {
	Leaves, Size   uint64 // of the tree
	Records, Bytes int64  // of objects read and compared
	Elapsed        time.Duration
	Left           time.Duration // an estimate; 0 where there is none
}

// listed is how many faults, notices, ranges and extras a report holds by name.
const listed = 1000

// findings collects what goroutines find. Its memory is bounded.
type findings struct {
	mu      sync.Mutex
	report  *Report
	missing rangeSet // records whose object is gone: a later leaf may say that they were removed
	details []Fault  // the first of them
	bare    []Fault  // the first objects that show no attributes where the leaf says they had some
	bareN   int64
	shown   int64 // objects that show attributes
	early   *Fault
}

func (f *findings) fault(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.FaultCount++
	if len(f.report.Faults) < listed {
		f.report.Faults = append(f.report.Faults, x.bounded())
	}
}

// maxWhat is how many bytes of each text of a fault are kept: it may quote what somebody put into the bucket.
const maxWhat = 2000

// bounded is the fault in memory of its own, without the rest of what it quotes.
func (f Fault) bounded() Fault {
	for _, s := range []*string{&f.Key, &f.Object, &f.What} {
		if len(*s) > maxWhat {
			*s = strings.Clone(cut(*s, maxWhat)) + "..."
		}
	}
	return f
}

func (f *findings) faultf(object, format string, args ...any) {
	f.fault(Fault{Object: object, What: fmt.Sprintf(format, args...)})
}

func (f *findings) notice(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.NoticeN++
	if len(f.report.Notices) < listed {
		f.report.Notices = append(f.report.Notices, x.bounded())
	}
}

func (f *findings) noticef(object, format string, args ...any) {
	f.notice(Fault{Object: object, What: fmt.Sprintf(format, args...)})
}

// miss takes an object that is gone, with the records that were in it.
func (f *findings) miss(last record.Seq, x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missing.add(x.Seq, max(last, x.Seq))
	if len(f.details) < listed {
		f.details = append(f.details, x)
	}
}

func (f *findings) incomplete(format string, args ...any) {
	f.report.Incomplete = append(f.report.Incomplete, fmt.Sprintf(format, args...))
}
