package proof

import "strings"

// Kind says what a leaf states.
type Kind string

// The kinds of leaves. Record, Deferred, Quarantined, Gap and Pack continue
// the seq of the log; Stored and Removed speak of earlier records; Row is never
// a leaf of the log itself; the others tell the log's own life.
const (
	Record      Kind = "record"      // a record is stored under Key
	Deferred    Kind = "deferred"    // a record could not be stored yet
	Quarantined Kind = "quarantined" // the store refuses a record for its own content
	Stored      Kind = "stored"      // a record that was parked is stored now
	Removed     Kind = "removed"     // the stored records First to Last were removed by policy
	Gap         Kind = "gap"         // records First to Last are lost
	Pack        Kind = "pack"        // records First to Last are rows of the object Key
	Row         Kind = "row"         // one row of a pack: a leaf of the pack's own tree
	Start       Kind = "start"       // a process began to write the log
	Stop        Kind = "stop"        // it ended in good order
	Recovered   Kind = "recovered"   // the one before did not
	Config      Kind = "config"      // the configuration changed
	NewKey      Kind = "key"         // the signing key changed
	Continues   Kind = "continues"   // the first leaf of a log that goes on where another one ended
	Repair      Kind = "repair"      // the log itself was damaged in the bucket, and was repaired
	Cosigning   Kind = "witness"     // from a checkpoint on, other witnesses cosign than did before
	Tick        Kind = "tick"        // nothing happened, and the log is alive
)

// counts says that the leaf takes its place in the order of seq.
func (k Kind) counts() bool {
	switch k {
	case Record, Deferred, Quarantined, Gap, Pack:
		return true
	}
	return false
}

// member is one member of a leaf's JSON object, with what stands before its value.
type member struct {
	name     string
	optional bool   // left out when there is nothing to say
	plain    string // `,"name":`
	base64   string // `,"name_base64":`, for a string that is no UTF-8
}

func form(names string) []member {
	var list []member
	for name := range strings.FieldsSeq(names) {
		name, optional := strings.CutSuffix(name, "?")
		list = append(list, member{name, optional, `,"` + name + `":`, `,"` + name + `_base64":`})
	}
	return list
}

// The members of each kind behind "v" and "kind", in their order. A trailing ?
// marks those that are left out when empty. Nothing changes these.
var (
	recordForm    = form("seq time door source bucket key sent_key? sent_key_sha256? size sha256 attrs_sha256 version_id?")
	parkedForm    = form("seq time door source bucket sent_key? sent_key_sha256? size sha256 reason")
	unreadForm    = form("seq time reason")
	removedForm   = form("first last time reason")
	gapForm       = form("first last time cause")
	packForm      = form("first last time key size sha256 version_id? count root")
	rowForm       = form("seq time door source bucket sent_key? sent_key_sha256? size sha256 attrs_sha256")
	startForm     = form("seq time program config prefix")
	configForm    = form("seq time config prefix")
	causeForm     = form("seq time cause")
	keyForm       = form("seq time size root old new old_sig new_sig")
	continuesForm = form("seq time from_log from_seq size root cause")
	repairForm    = form("seq time key? cause")
	witnessForm   = form("seq time size cause")
	bareForm      = form("seq time")
)

// members are those of a kind; nil if there is no such kind. unread is Leaf.Unread.
func members(k Kind, unread bool) []member {
	switch k {
	case Record, Stored:
		return recordForm
	case Deferred:
		if unread {
			return unreadForm
		}
		return parkedForm
	case Quarantined:
		return parkedForm
	case Removed:
		return removedForm
	case Gap:
		return gapForm
	case Pack:
		return packForm
	case Row:
		return rowForm
	case Start:
		return startForm
	case Config:
		return configForm
	case Recovered:
		return causeForm
	case NewKey:
		return keyForm
	case Continues:
		return continuesForm
	case Repair:
		return repairForm
	case Cosigning:
		return witnessForm
	case Stop, Tick:
		return bareForm
	}
	return nil
}
