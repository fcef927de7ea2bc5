package control

import (
	"fmt"
	"time"
)

// Status is what `status --json` and /api/status say. Totals are durable: they
// count over the life of the spool.
type Status struct {
	Running              bool   `json:"running"` // false: read from the data directory, no daemon runs
	PID                  int    `json:"pid,omitempty"`
	Version              string `json:"version"`
	Acked                uint64 `json:"acked"`
	Stored               uint64 `json:"stored"`
	Proven               uint64 `json:"proven"`
	Pending              uint64 `json:"pending"`
	PendingBytes         int64  `json:"pending_bytes"`
	OldestPendingSeconds int64  `json:"oldest_pending_seconds"`
	Quarantined          uint64 `json:"quarantined"`
	Deferred             uint64 `json:"deferred"`
	Collisions           uint64 `json:"collisions"`
	Resent               uint64 `json:"resent"`
	Gaps                 uint64 `json:"gaps"`
	// GapRanges are the newest of those, by seq, at most MaxGapRanges. GapsNotListed counts the others: older
	// ones, and all that were released before the daemon started. The log's gap leaves name them.
	GapRanges     []GapRange            `json:"gap_ranges,omitempty"`
	GapsNotListed uint64                `json:"gaps_not_listed,omitempty"`
	Log           LogStatus             `json:"log"`
	Destination   DestinationStatus     `json:"destination"`
	Disk          DiskStatus            `json:"disk"`
	Scrub         *ScrubStatus          `json:"scrub,omitempty"` // null: scrub.every is not set, or no daemon runs
	Doors         map[string]DoorStatus `json:"doors"`
}

// MaxGapRanges bounds Status.GapRanges.
const MaxGapRanges = 100

// GapRange is a range of acknowledged records that damage to the disk made unreadable.
type GapRange struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"` // inclusive
	Cause string `json:"cause"`
}

// Records names the range in words.
func (g GapRange) Records() string {
	if g.First == g.Last {
		return fmt.Sprintf("record %d", g.First)
	}
	return fmt.Sprintf("records %d to %d", g.First, g.Last)
}

// LogStatus is about the transparency log.
type LogStatus struct {
	Name string `json:"name"`
	Size uint64 `json:"size"` // leaves in the tree
	// Problem is why the log cannot go on, as far as the data directory tells, with what to do about it; "" if it can.
	Problem string `json:"problem,omitempty"`
	// CheckpointAgeSeconds is null until there is a checkpoint.
	CheckpointAgeSeconds *int64 `json:"checkpoint_age_seconds"`
}

// DestinationStatus is what the store says.
type DestinationStatus struct {
	URL       string    `json:"url"`
	State     string    `json:"state"` // ok, throttled, credentials, configuration or unreachable
	Since     time.Time `json:"since"`
	Retries   uint64    `json:"retries"` // since the daemon started
	InFlight  int       `json:"in_flight"`
	LastError string    `json:"last_error"`
}

// DiskStatus is about the data directory's disk.
type DiskStatus struct {
	State      DiskState `json:"state"`
	Reason     string    `json:"reason,omitempty"` // what is wrong, where State is not DiskOK
	FreeBytes  int64     `json:"free_bytes"`
	SpoolBytes int64     `json:"spool_bytes"`
	// SyncSeconds is how long the last sync of the spool took, or the one under
	// way has taken so far: no ack is faster.
	SyncSeconds float64 `json:"sync_seconds"`
	// WriteError is what the newest write of the spool failed with, for another reason than want of room.
	WriteError string `json:"write_error,omitempty"`
	// ReadErrors are failed reads of the spool since the start, each tried again; Unread the records that could
	// not be read at the last try, which are acknowledged and not lost.
	ReadErrors    uint64 `json:"read_errors"`
	Unread        uint64 `json:"unread"`
	LastReadError string `json:"last_read_error,omitempty"`
}

// ScrubStatus is what the verifications in the background have found.
type ScrubStatus struct {
	Ended   *time.Time `json:"ended"`   // when the last one that could look ended; null: none has
	Seconds float64    `json:"seconds"` // it took
	Records int64      `json:"records"` // the log told of then
	Checked int64      `json:"checked"` // objects it read
	Faults  int64      `json:"faults"`  // found since the start: what is missing or changed in the destination
	First   string     `json:"first,omitempty"`
	Problem string     `json:"problem,omitempty"` // why the last one could not look
}

// DiskState says whether the disk can take records.
type DiskState string

// The states of a disk, the worst first.
const (
	DiskReadOnly DiskState = "read-only" // the file system takes no writes
	DiskFailing  DiskState = "failing"   // syncs or reads fail
	DiskFull     DiskState = "full"      // less is free than the reserve
	DiskInodes   DiskState = "inodes"    // bytes are free, but no inodes
	DiskSlow     DiskState = "slow"      // syncs take so long that senders notice
	DiskOK       DiskState = "ok"
)

// SenderStatus is about one named sender; counts are since the daemon started.
type SenderStatus struct {
	Name       string     `json:"name"`
	Team       string     `json:"team,omitempty"`
	Source     string     `json:"source"`      // as its records name it
	Records    uint64     `json:"records"`     // those sent again included
	LastRecord *time.Time `json:"last_record"` // null until a record came
}

// DiskStates are all there are.
func DiskStates() []DiskState {
	return []DiskState{DiskReadOnly, DiskFailing, DiskFull, DiskInodes, DiskSlow, DiskOK}
}

// DoorStatus is about one open door; counts are since the daemon started.
type DoorStatus struct {
	Listen      string            `json:"listen"`
	URL         string            `json:"url"`                  // where this machine reaches it
	Bucket      string            `json:"bucket,omitempty"`     // where a record is put that names none
	KeyIDs      []string          `json:"key_ids,omitempty"`    // of the access keys, without their secrets
	Credentials bool              `json:"credentials"`          // senders need some
	Since       time.Time         `json:"since"`                // when it was opened
	Requests    uint64            `json:"requests"`             // of every kind
	Received    uint64            `json:"received"`             // records: acked, resent and refused
	Acked       uint64            `json:"acked"`                // copies of earlier ones not counted
	Resent      uint64            `json:"resent"`               // such copies
	Refused     uint64            `json:"refused"`              // their senders still have them
	RefusedBy   map[string]uint64 `json:"refused_by,omitempty"` // the same, by the code of the answer
	Dropped     uint64            `json:"dropped,omitempty"`    // spans and log records that have nothing to do with a model
	Bytes       uint64            `json:"bytes"`                // of records acknowledged
	// Senders are those whose credential has a name, also those that never sent a record.
	Senders []SenderStatus `json:"senders,omitempty"`
	// LastRecord is null until a record came.
	LastRecord *time.Time `json:"last_record"`
}
