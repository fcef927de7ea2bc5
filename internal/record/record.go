// Package record holds the types that every package shares: what a
// door hands in, what the spool hands out, and what the sender holds as its
// receipt. It does no I/O.
package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Seq numbers the records of one log from 1, in the order of their acks,
// without a hole. 0 is "none".
type Seq uint64

// Digest is a SHA-256.
type Digest [32]byte

// String is the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Attr is one attribute of a record: a header of the request that came with
// it, or a fact that the door established. Names are lower case. Names that
// start with "x-amz-meta-" are the sender's user metadata; the names below are
// ours; every other name is a kept request header such as "content-type".
type Attr struct{ Name, Value string }

// Names of the attributes that doors add themselves. None of them can be sent
// as a header, because a header name holds no colon.
const (
	AttrMD5      = ":md5"      // lower-case hex MD5 of the body: its S3 ETag without quotes
	AttrChecksum = ":checksum" // "algorithm value", as in "crc32 AAAAAA==": an x-amz-checksum-* the sender gave, verified
	AttrModified = ":modified" // RFC 3339: when the store says that the object was written from which the record was taken
	AttrFlag     = ":flag"     // why a door kept the body raw: "unparsed", "null", ...
)

// Attrs is a list of attributes in the order they were added. Values are
// owned by the list; do not modify a list that was handed to the spool.
type Attrs []Attr

// Get returns the first value under name, or "".
func (a Attrs) Get(name string) string {
	for _, at := range a {
		if at.Name == name {
			return at.Value
		}
	}
	return ""
}

// Limits of what a record can carry. Doors check them before Append; the spool
// refuses what exceeds them with ErrInvalid.
const (
	MaxKey   = 16 << 10 // bytes of Key; the store's own, smaller bound is the layout's business
	MaxAttrs = 64 << 10 // bytes of all attribute names and values together
	MaxBody  = 1 << 30  // bytes of Body
)

// Record is what a door hands to the spool.
type Record struct {
	Door   string // "s3", "http", "otlp", "proxy", "lib": which door it came through; never empty
	Source string // who sent it, as far as the door knows (access key id, remote host); may be empty
	Bucket string // the bucket the sender named; "" where the door has none
	Key    string // the key as sent: data, never a path on our disk; never empty
	Attrs  Attrs

	// Body is read once, to io.EOF, by Append. Any other error aborts the
	// append: nothing is acked, nothing is delivered, and Append returns that
	// error wrapped.
	Body io.Reader
	// Size is the length of Body where it is known, else -1. A body of another
	// length aborts the append with ErrSize.
	Size int64
	// Seal, if set, is called once after Body was read to its end and before
	// the record is committed: the place to compare digests and to add what is
	// known only now. It returns attributes to append to Attrs; its error aborts the
	// append and is returned wrapped. It may block (a lock held until Append
	// returns serialises writers of one key).
	Seal func(sum Digest, size int64) (Attrs, error)
}

// Receipt is the sender's evidence that a record is durable: the spool has
// fsynced it.
type Receipt struct {
	Log    string    // the log's name
	Seq    Seq       // the record's number in that log
	Time   time.Time // arrival, UTC
	Digest Digest    // SHA-256 of the body
	Size   int64     // bytes of the body
	// Resent says that the same bytes under the same bucket and key were known
	// already: this is the receipt of the first copy.
	Resent bool
}

// String is the receipt as the doors send it: "<log>/<seq>/<sha256 hex>".
func (r Receipt) String() string {
	var space [160]byte
	b := append(append(space[:0], r.Log...), '/')
	b = append(strconv.AppendUint(b, uint64(r.Seq), 10), '/')
	return string(hex.AppendEncode(b, r.Digest[:]))
}

// ParseReceipt reads what Receipt.String wrote. Time, Size and Resent are not
// in it.
func ParseReceipt(s string) (Receipt, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 || parts[0] == "" {
		return Receipt{}, fmt.Errorf("parse receipt %q: want <log>/<seq>/<sha256 hex>", s)
	}
	seq, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil || seq == 0 {
		return Receipt{}, fmt.Errorf("parse receipt %q: %q is no sequence number", s, parts[1])
	}
	r := Receipt{Log: parts[0], Seq: Seq(seq)}
	b, err := hex.DecodeString(parts[2])
	if err != nil || len(b) != len(r.Digest) {
		return Receipt{}, fmt.Errorf("parse receipt %q: %q is no SHA-256 in hex", s, parts[2])
	}
	copy(r.Digest[:], b)
	return r, nil
}

// Info is everything about a durable record but its body.
type Info struct {
	Seq    Seq
	Time   time.Time // arrival, UTC, nanoseconds
	Door   string
	Source string
	Bucket string
	Key    string // as sent
	Attrs  Attrs
	Size   int64
	Digest Digest
}

// Entry is a durable record that the spool hands out.
type Entry struct {
	Info
	// Open returns the body from its start. The reader verifies the body
	// against its checksum and fails with an error before io.EOF when it does
	// not match; it is independent of other readers and stays valid after the
	// record was released. The caller closes it.
	Open func() (io.ReadSeekCloser, error)
}

// Outcome is what became of one record on its way to the store.
type Outcome struct {
	Info
	State   State
	Stored  string // the key as stored, below the destination's URL; "" unless State is Stored
	Version string // the object's version id where the bucket is versioned
	// AttrsDigest is store.AttrsDigest of the headers and metadata that the stored object shows.
	AttrsDigest Digest
	Reason      string // why, for Deferred and Quarantined
}

// State is how far a record has come.
type State string

// The states of a record, in the words that the command line prints.
const (
	Pending     State = "pending"     // acked, in the spool
	Stored      State = "stored"      // the store has confirmed its checksum
	Proven      State = "proven"      // stored, and covered by a signed checkpoint in the bucket
	Deferred    State = "deferred"    // parked, tried again slowly and for ever
	Quarantined State = "quarantined" // the store refuses this one for its own content; on disk until it is redriven
)

// GapError is a range of acked records that damage on the disk made unreadable.
// The spool yields it in their place and goes on with what is behind.
type GapError struct {
	First, Last Seq // inclusive
	Cause       string
}

func (e *GapError) Error() string {
	if e.First == e.Last {
		return fmt.Sprintf("record %d is unreadable: %s", e.First, e.Cause)
	}
	return fmt.Sprintf("records %d to %d are unreadable: %s", e.First, e.Last, e.Cause)
}

// ReadError says that the disk does not give a durable record back at the
// moment: an open or a read failed (EIO, ESTALE, ETIMEDOUT, EMFILE and the like). It says
// nothing about the record, which is neither damaged nor lost: whoever needs it tries again, for ever.
// Seq is 0 where the error concerns no single record.
type ReadError struct {
	Seq Seq
	Err error
}

func (e *ReadError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("read the spool: %v; it is tried again", e.Err)
	}
	return fmt.Sprintf("read record %d: %v; it is tried again", e.Seq, e.Err)
}

// Unwrap gives the error of the disk.
func (e *ReadError) Unwrap() error { return e.Err }

// Errors that an appender's caller decides on, by errors.Is.
var (
	// ErrPushback: there is no room now; nothing was acked and the sender
	// keeps the record. Doors answer it with 503 and Retry-After.
	ErrPushback = errors.New("no room for the record now")
	// ErrClosed: the spool is closing; nothing was acked. Doors answer it as ErrPushback.
	ErrClosed = errors.New("closed")
	// ErrSize: the body was not as long as announced; nothing was acked.
	ErrSize = errors.New("body is not as long as announced")
	// ErrInvalid: the record exceeds a limit of this package; nothing was acked.
	ErrInvalid = errors.New("record exceeds a limit")
)

// ParkedEntry is a record that was parked: taken out of the order of delivery, because it could not be stored,
// so that the others do not wait for it. A Deferred one is tried again for ever, a Quarantined one once it is redriven.
type ParkedEntry struct {
	Entry
	State  State // Deferred or Quarantined
	Reason string
	Since  time.Time
}

// Bucket is a bucket name that a sender used, and when it was first seen.
type Bucket struct {
	Name  string
	Since time.Time
}
