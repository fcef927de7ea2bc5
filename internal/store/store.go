// Package store is the contract with the object store in which the records end
// up: put, get, head, list, and no delete. Drivers classify what went wrong;
// they never retry.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"indelible/internal/record"
)

// Store is a bucket, or a part of one. Drivers are safe for concurrent use,
// pass storetest, and make exactly one attempt per call (where the answer to a Put
// does not tell what was stored, they look before they return). Every error is an
// *Error or wraps one, except the caller's own context error.
//
// Keys are 1 to MaxKey bytes of any content, relative to the store's root.
// A Put that returned nil is durable, and visible to every later call. A Put
// that failed with another class than Exists may nevertheless have stored the
// object: only Head tells.
type Store interface {
	// Put stores one object. The object's bytes and attributes appear
	// together or not at all.
	Put(ctx context.Context, o Object) (Info, error)
	// Get opens an object, or the bytes [Range.From, Range.To) of it. The caller closes the
	// body. The Info is that of the whole object.
	Get(ctx context.Context, key string, o GetOptions) (io.ReadCloser, Info, error)
	// Head is Get without the body.
	Head(ctx context.Context, key string, o GetOptions) (Info, error)
	// List yields the objects in the byte order of their keys. It reads ahead
	// no more than one page, and ends after the first error.
	List(ctx context.Context, o ListOptions) iter.Seq2[Info, error]
}

// MaxKey is how many bytes a key may have, the store's root included (S3's limit).
const MaxKey = 1024

// Condition says what Put does with a key that exists.
type Condition struct {
	// Match is the ETag that the present object must have; "" means that the
	// key must not exist (If-None-Match: *). The zero Condition is the safe one.
	Match string
	// Any overwrites whatever is there. Nothing that holds a record uses it.
	Any bool
}

// Confirmation is how a store shows that it holds the bytes that were sent. Some
// leave the checksum out of their answers, and some never compare it: what is
// confirmed otherwise than ByChecksum is read back now and then.
type Confirmation string

// The ways in which a driver learns it, the best one first.
const (
	ByChecksum Confirmation = "checksum" // the answer to a Put repeats the SHA-256
	ByETag     Confirmation = "etag"     // the ETag is the MD5 of what was sent
	ByHead     Confirmation = "head"     // the answer to a Head tells the SHA-256
	ByReading  Confirmation = "reading"  // nothing but the object's bytes tells
)

// ErrOtherBytes is the cause of an error that was found by reading an object: its
// bytes are not those of its checksum, or not those that were put.
var ErrOtherBytes = errors.New("the bytes are not those of the object's checksum")

// ErrNoObject is the cause of an error where something has the name of an object and is none, such as a pipe, or a
// link that leads out of the store: reading it again changes nothing.
var ErrNoObject = errors.New("this is no object: move it away")

// Object is what Put stores.
type Object struct {
	Key    string
	Body   io.ReadSeeker // from its present start; read from the beginning for each attempt; not closed
	Size   int64
	Digest record.Digest // SHA-256 of Body: the store checks the bytes against it
	// Header holds the object's HTTP headers under lower-case names:
	// cache-control, content-disposition, content-encoding, content-language,
	// content-type, expires. Others are an error.
	Header map[string]string
	// Meta is user metadata under lower-case names without "x-amz-meta-".
	Meta map[string]string
	Tags map[string]string
	// NoLock leaves the object out of the destination's Object Lock (partial
	// tiles, which a lifecycle rule may expire).
	NoLock    bool
	Condition Condition
}

// Info describes an object.
type Info struct {
	Key     string
	Size    int64
	ETag    string        // without quotes; equal for equal states of a key, no more
	Digest  record.Digest // zero where the store does not know it
	ModTime time.Time
	Version string            // version id in a versioned bucket
	Header  map[string]string // as in Object; nil in List
	Meta    map[string]string // as in Object; nil in List
	// Prefix says that this is no object but a common prefix (see ListOptions.Delimiter): only Key is set.
	Prefix bool
}

// GetOptions narrow a Get or Head.
type GetOptions struct {
	Version string // this version of the object; "" is the newest
	// From and To bound the bytes wanted: [From, To), within the object; To 0 is the end.
	From, To int64
}

// ListOptions narrow a List.
type ListOptions struct {
	Prefix    string
	After     string // only keys greater than this
	Delimiter string // keys that hold it behind Prefix are rolled up into one Info with Prefix set
	Limit     int    // how many the caller wants, as a hint for the page size; 0 is no hint
}

// Class says what an error means to whoever must decide what to do next.
type Class int

// The classes. Poison, Exists, NotFound and Archived speak of the object, Local of this process; the others speak
// of the store or the way to it.
const (
	Unknown       Class = iota // not classified: treated as Ambiguous
	Throttled                  // the store is alive and asks for less: 503 SlowDown, 429, RequestTimeout
	Credentials                // 403, expired token, clock skew
	Configuration              // no such bucket, wrong region or endpoint
	Unreachable                // no connection could be made: refused, no route, no such host
	Ambiguous                  // may or may not have been stored: 500, 502, 504, timeout, reset, an answer without the expected checksum
	Poison                     // the store refuses this one object for its own content: too large, key too long
	Exists                     // the condition of a Put did not hold (412), or lost a race (409)
	NotFound                   // no such key (or version)
	Archived                   // the object is there, and its bytes must be restored before they can be read: Head tells of it
	Local                      // this process or machine has no file descriptor, port or memory left for the call: nothing was sent
)

var classNames = [...]string{"unknown", "throttled", "credentials", "configuration", "unreachable", "ambiguous", "poison", "exists", "not found", "archived", "local"}

func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return "unknown"
	}
	return classNames[c]
}

// Error is what a driver returns.
type Error struct {
	Op, Key    string
	Class      Class
	Status     int           // HTTP status, 0 if there was none
	Code       string        // the store's own code, such as "SlowDown"; "" if there was none
	RetryAfter time.Duration // what the store asked for; 0 if nothing
	Err        error
}

func (e *Error) Error() string {
	s := e.Op + " " + e.Key + ": "
	if e.Code != "" || e.Status != 0 {
		s += fmt.Sprintf("%s (%d): ", e.Code, e.Status)
	}
	return s + e.Class.String() + ": " + e.Err.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf is the class of the first *Error in err's chain, or Unknown.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Unknown
}
