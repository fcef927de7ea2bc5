package proof

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"indelible/internal/record"
)

// Kind says what a leaf states.
type Kind string

// The kinds of leaves. Record, Deferred, Quarantined, Gap and Pack continue
// the seq of the log; Stored and Removed speak of an earlier record; the
// others tell the log's own life.
const (
	Record      Kind = "record"      // a record is stored under Key
	Deferred    Kind = "deferred"    // a record could not be stored yet
	Quarantined Kind = "quarantined" // the store refuses a record for its own content
	Stored      Kind = "stored"      // a record that was set aside is stored now
	Removed     Kind = "removed"     // a stored record was removed by policy
	Gap         Kind = "gap"         // records First to Last are lost
	Pack        Kind = "pack"        // records First to Last are rows of the object Key
	Start       Kind = "start"       // a process began to write the log
	Stop        Kind = "stop"        // it ended in good order
	Recovered   Kind = "recovered"   // the one before did not
	Config      Kind = "config"      // the configuration changed
	NewKey      Kind = "key"         // the signing key changed
	Tick        Kind = "tick"        // nothing happened, and the log is alive
)

// MaxLeaf is how many bytes a leaf may have: the entry bundles' length prefix
// has 16 bits.
const MaxLeaf = 1<<16 - 1

// Bounds of what a leaf quotes, so that it stays well below MaxLeaf.
const (
	maxQuoted  = 1024 // bytes of a sent key; a longer one is given by its SHA-256
	maxName    = 256  // bytes of door, source, bucket, program, config; longer ones are cut
	maxReason  = 512  // bytes of a reason or cause; longer ones are cut
	timeLayout = "2006-01-02T15:04:05.000000000Z"
)

// Leaf is one entry of the log. Which fields it has depends on its kind;
// docs/format/proof.md lists them.
type Leaf struct {
	Kind        Kind
	Seq         record.Seq // the record's number; in lifecycle leaves the last number before them
	First, Last record.Seq // Gap, Pack
	Time        time.Time  // arrival of the record; for other leaves when they were written
	Door        string
	Source      string
	Bucket      string // as the sender named it
	Key         string // as stored, from the store's root
	SentKey     string // as sent, where it differs from Key and is not too long
	SentKeySum  string // lower-case hex SHA-256 of a sent key that is too long to quote
	Size        int64
	Digest      record.Digest
	VersionID   string // the object's version where the bucket has versions
	Reason      string // why: Deferred, Quarantined, Removed, Gap, Recovered
	Count       int64  // rows of a pack
	Root        string // hex RFC 6962 root over a pack's record leaves
	Program     string // Start: name and version
	Config      string // Start, Config: digest of the configuration
	Prefix      string // Start, Config: what stands before every key of this log
	Old, New    string // NewKey: verifier keys
	OldSig      string // NewKey: base64 signature of the statement by the old key
	NewSig      string // NewKey: and by the new one
}

// counts says that the leaf takes its place in the order of seq.
func (k Kind) counts() bool {
	switch k {
	case Record, Deferred, Quarantined, Gap, Pack:
		return true
	}
	return false
}

// last is the greatest seq the log has when it ends with this leaf, and false
// if the leaf does not tell.
func (l *Leaf) last() (record.Seq, bool) {
	switch l.Kind {
	case Gap, Pack:
		return l.Last, true
	case Stored, Removed:
		return 0, false
	}
	return l.Seq, true
}

// first is the seq at which a leaf that counts begins.
func (l *Leaf) first() record.Seq {
	if l.Kind == Gap || l.Kind == Pack {
		return l.First
	}
	return l.Seq
}

// names of the members of each kind behind "v" and "kind", in their order. A
// trailing ? marks those that are left out when empty.
func members(k Kind) []string {
	switch k {
	case Record, Stored:
		return []string{"seq", "time", "door", "source", "bucket", "key", "sent_key?", "sent_key_sha256?", "size", "sha256", "version_id?"}
	case Deferred, Quarantined:
		return []string{"seq", "time", "door", "source", "bucket", "sent_key?", "sent_key_sha256?", "size", "sha256", "reason"}
	case Removed:
		return []string{"seq", "time", "key", "reason"}
	case Gap:
		return []string{"first", "last", "time", "cause"}
	case Pack:
		return []string{"first", "last", "time", "key", "size", "sha256", "version_id?", "count", "root"}
	case Start:
		return []string{"seq", "time", "program", "config", "prefix"}
	case Config:
		return []string{"seq", "time", "config", "prefix"}
	case Recovered:
		return []string{"seq", "time", "cause"}
	case NewKey:
		return []string{"seq", "time", "old", "new", "old_sig", "new_sig"}
	case Stop, Tick:
		return []string{"seq", "time"}
	}
	return nil
}

// Encode is the leaf in its one canonical form: a JSON object on one line, with
// the members of its kind in their order and no space. In strings only the
// quotation mark, the backslash and U+0000 to U+001F are escaped, the latter always as
// \u00xx in lower case. A string that is no UTF-8 is given in base64 under the
// member's name with "_base64" appended.
func (l *Leaf) Encode() []byte {
	b := make([]byte, 0, 320)
	b = append(b, `{"v":1,"kind":"`...)
	b = append(b, l.Kind...)
	b = append(b, '"')
	for _, m := range members(l.Kind) {
		name, optional := trimOptional(m)
		switch name {
		case "seq":
			b = appendNumber(b, name, uint64(l.Seq))
		case "first":
			b = appendNumber(b, name, uint64(l.First))
		case "last":
			b = appendNumber(b, name, uint64(l.Last))
		case "size":
			b = appendNumber(b, name, uint64(l.Size))
		case "count":
			b = appendNumber(b, name, uint64(l.Count))
		case "time":
			b = append(b, `,"time":"`...)
			b = l.Time.UTC().AppendFormat(b, timeLayout)
			b = append(b, '"')
		case "sha256":
			b = append(b, `,"sha256":"`...)
			b = appendHex(b, l.Digest[:])
			b = append(b, '"')
		default:
			s := *l.text(name)
			if s != "" || !optional {
				b = appendText(b, name, s)
			}
		}
	}
	return append(b, '}')
}

func trimOptional(m string) (string, bool) {
	if n := len(m) - 1; m[n] == '?' {
		return m[:n], true
	}
	return m, false
}

// text is the field behind a member that is a string.
func (l *Leaf) text(name string) *string {
	switch name {
	case "door":
		return &l.Door
	case "source":
		return &l.Source
	case "bucket":
		return &l.Bucket
	case "key":
		return &l.Key
	case "sent_key":
		return &l.SentKey
	case "sent_key_sha256":
		return &l.SentKeySum
	case "version_id":
		return &l.VersionID
	case "reason", "cause":
		return &l.Reason
	case "root":
		return &l.Root
	case "program":
		return &l.Program
	case "config":
		return &l.Config
	case "prefix":
		return &l.Prefix
	case "old":
		return &l.Old
	case "new":
		return &l.New
	case "old_sig":
		return &l.OldSig
	case "new_sig":
		return &l.NewSig
	}
	return nil
}

func appendNumber(b []byte, name string, n uint64) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendUint(b, n, 10)
}

func appendText(b []byte, name, s string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	if !utf8.ValidString(s) {
		b = append(b, `_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, '"')
	}
	b = append(b, '"', ':', '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

const hexDigits = "0123456789abcdef"

func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		if c < 0x20 {
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, '\\', c)
		}
		from = i + 1
	}
	return append(b, s[from:]...)
}

func appendHex(b, data []byte) []byte {
	for _, c := range data {
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

// cut bounds a quoted string to n bytes, at the boundary of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
