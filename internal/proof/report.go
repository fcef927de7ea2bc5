package proof

import (
	"fmt"
	"sync"
	"time"

	"indelible/internal/record"
)

// Fault is one thing that is wrong, or worth a word: what, and where.
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

// Report is what Verify found. It is well if there are no faults.
type Report struct {
	Log  string `json:"log"`
	Size uint64 `json:"size"` // leaves that the checkpoint covers
	Root string `json:"root"` // base64, as in the checkpoint

	First    record.Seq `json:"first"`     // of the records in the log
	Last     record.Seq `json:"last"`      //
	LastTime time.Time  `json:"last_time"` // the latest time that any leaf tells
	Records  int64      `json:"records"`   // that the log says are stored
	Bytes    int64      `json:"bytes"`     // of their bodies

	Checked      int64 `json:"checked"` // objects read and compared
	CheckedBytes int64 `json:"checked_bytes"`
	Skipped      int64 `json:"skipped"` // not read, because of Since or Sample

	Heads       int   `json:"heads"`       // signed heads compared with the tree, the checkpoint included
	Deferred    int64 `json:"deferred"`    // records that the log says are not stored yet
	Quarantined int64 `json:"quarantined"` // records that the log says the store refused
	Gaps        int64 `json:"gaps"`        // records that the log says are lost

	Faults     []Fault  `json:"faults"`       // the first of them, by seq
	FaultCount int64    `json:"fault_count"`  // all
	Notices    []Fault  `json:"notices"`      // no faults, but worth knowing
	NoticeN    int64    `json:"notice_count"` // all
	Extras     int64    `json:"extra_count"`  // objects that no leaf names
	ExtraKeys  []string `json:"extra"`        // the first of them

	Seconds float64 `json:"seconds"`
}

// OK says that nothing is missing and nothing was changed, as far as Verify looked.
func (r *Report) OK() bool { return r.FaultCount == 0 }

// Progress is how far Verify has come.
type Progress struct {
	Leaves, Size   uint64 // of the tree
	Records, Bytes int64  // of objects read and compared
	Elapsed        time.Duration
	Left           time.Duration // an estimate; 0 where there is none
}

// listed is how many faults, notices and extras a report holds by name.
const listed = 1000

// findings collects what goroutines find.
type findings struct {
	mu      sync.Mutex
	report  *Report
	missing []Fault // objects that are not there: a later leaf may say that they were removed
}

func (f *findings) fault(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.FaultCount++
	if len(f.report.Faults) < listed {
		f.report.Faults = append(f.report.Faults, x)
	}
}

func (f *findings) faultf(object, format string, args ...any) {
	f.fault(Fault{Object: object, What: fmt.Sprintf(format, args...)})
}

func (f *findings) notice(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.NoticeN++
	if len(f.report.Notices) < listed {
		f.report.Notices = append(f.report.Notices, x)
	}
}

func (f *findings) miss(x Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missing = append(f.missing, x)
}

func (f *findings) read(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.report.Checked++
	f.report.CheckedBytes += size
}
