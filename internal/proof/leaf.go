package proof

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"indelible/internal/record"
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
	First, Last record.Seq // Gap, Pack, Removed
	Time        time.Time  // arrival of the record; for other leaves when they were written
	Door        string
	Source      string
	Bucket      string // as the sender named it
	Key         string // as stored, from the store's root; Repair: the object concerned, from the log's directory
	SentKey     string // as sent, where it differs from Key and is not too long
	SentKeySum  string // lower-case hex SHA-256 of a sent key that is too long to quote
	Size        int64  // of the object; NewKey, Continues: of the tree that Root is the root of; Cosigning: of the checkpoint
	Digest      record.Digest
	Attrs       record.Digest // of the attributes: store.AttrsDigest
	VersionID   string        // the object's version where the bucket has versions
	Reason      string        // why: Deferred, Quarantined, Removed, Gap, Recovered, Continues, Repair, Cosigning
	Unread      bool          // Deferred: the disk does not give the record back now; only Seq, Time and Reason are known
	Count       int64         // rows of a pack
	Root        string        // lower-case hex RFC 6962 root: Pack over its Row leaves; NewKey of the tree before this leaf; Continues
	Program     string        // Start: name and version
	Config      string        // Start, Config: digest of the configuration
	Prefix      string        // Start, Config: what stands before every key of this log
	FromLog     string        // Continues: the log whose records go on here
	FromSeq     record.Seq    // Continues: the first record that this log has and that one may lack
	Old, New    string        // NewKey: verifier keys
	OldSig      string        // NewKey: base64 signature of the statement by the old key
	NewSig      string        // NewKey: and by the new one
}

// last is the greatest seq the log has when it ends with this leaf, and false
// if the leaf does not tell.
func (l *Leaf) last() (record.Seq, bool) {
	switch l.Kind {
	case Gap, Pack:
		return l.Last, true
	case Stored, Removed, Row:
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

// LeafVersion is the version of a leaf's form: its member "v".
const LeafVersion = "1"

// Encode is the leaf in its one canonical form: a JSON object on one line, with
// the members of its kind in their order and no space. In strings only the
// quotation mark, the backslash and U+0000 to U+001F are escaped, the latter always as
// \u00xx in lower case. A string that is no UTF-8 is given in base64 under the
// member's name with "_base64" appended.
func (l *Leaf) Encode() []byte { return l.append(make([]byte, 0, 512)) }

func (l *Leaf) append(b []byte) []byte {
	b = append(b, `{"v":`+LeafVersion+`,"kind":"`...)
	b = append(b, l.Kind...)
	b = append(b, '"')
	for i, m := 0, members(l.Kind, l.Unread); i < len(m); i++ {
		b = l.appendMember(b, &m[i])
	}
	return append(b, '}')
}

func (l *Leaf) appendMember(b []byte, m *member) []byte {
	switch m.name {
	case "seq":
		return appendNumber(b, m, uint64(l.Seq))
	case "first":
		return appendNumber(b, m, uint64(l.First))
	case "last":
		return appendNumber(b, m, uint64(l.Last))
	case "from_seq":
		return appendNumber(b, m, uint64(l.FromSeq))
	case "size":
		return appendNumber(b, m, uint64(l.Size))
	case "count":
		return appendNumber(b, m, uint64(l.Count))
	case "time":
		b = append(b, m.plain...)
		b = append(b, '"')
		b = appendTime(b, l.Time)
		return append(b, '"')
	case "sha256":
		return appendDigest(b, m, &l.Digest)
	case "attrs_sha256":
		return appendDigest(b, m, &l.Attrs)
	}
	if s := *l.text(m.name); s != "" || !m.optional {
		b = appendText(b, m, s)
	}
	return b
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
	case "from_log":
		return &l.FromLog
	case "old":
		return &l.Old
	case "new":
		return &l.New
	case "old_sig":
		return &l.OldSig
	case "new_sig":
		return &l.NewSig
	}
	panic("proof: no member " + name)
}

func appendNumber(b []byte, m *member, n uint64) []byte {
	b = append(b, m.plain...)
	return strconv.AppendUint(b, n, 10)
}

func appendDigest(b []byte, m *member, d *record.Digest) []byte {
	b = append(b, m.plain...)
	b = append(b, '"')
	b = hex.AppendEncode(b, d[:])
	return append(b, '"')
}

// appendTime is AppendFormat with timeLayout.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(b, timeLayout)
	}
	hour, minute, second := t.Clock()
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, int(month), 2), '-')
	b = append(appendDigits(b, day, 2), 'T')
	b = append(appendDigits(b, hour, 2), ':')
	b = append(appendDigits(b, minute, 2), ':')
	b = append(appendDigits(b, second, 2), '.')
	return append(appendDigits(b, t.Nanosecond(), 9), 'Z')
}

// appendDigits appends the last n decimal digits of v.
func appendDigits(b []byte, v, n int) []byte {
	at := len(b)
	b = append(b, "000000000"[:n]...)
	for i := at + n - 1; i >= at; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}

func appendText(b []byte, m *member, s string) []byte {
	if !utf8.ValidString(s) {
		b = append(b, m.base64...)
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, '"')
	}
	b = append(b, m.plain...)
	b = append(b, '"')
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
