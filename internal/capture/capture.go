// Package capture turns one HTTP exchange with a model provider into the body
// of a record: request and response bytes verbatim, what the headers may say,
// never a credential, how it ended, and apart from these the fields derived
// from them. docs/format/exchange.md is the format. It does no I/O of its own.
package capture

import (
	"io"
	"time"

	"indelible/internal/record"
)

// Version of the record's body.
const Version = 1

// ContentType of the record's body.
const ContentType = "application/json"

// Kind says which part of an exchange a record holds.
type Kind string

// The kinds of records. An exchange is either one Open and, unless the recorder died, one
// Close, or one Whole.
const (
	Open  Kind = "open"     // the request, durable before it is sent
	Close Kind = "close"    // the answer, and how it ended
	Whole Kind = "exchange" // both in one
	Gap   Kind = "gap"      // calls that were passed without a record
)

// Transport says how the connections ended, whatever the status was.
type Transport string

// The ways an exchange ends.
const (
	Complete      Transport = "complete"       // the answer came to its end
	ClientAbort   Transport = "client_abort"   // the client left before it
	UpstreamAbort Transport = "upstream_abort" // the upstream cut it
	ProxyError    Transport = "proxy_error"    // the upstream could not be asked, or the recorder failed
	Unknown       Transport = "unknown"        // the recorder died: what had passed until then
)

// Exchange is one request and its answer, as far as known. Times are zero
// where something did not happen.
type Exchange struct {
	Kind     Kind
	ID       string // of the exchange; the same in Open and Close
	Upstream string // the name in the configuration, or the host
	Provider string // the upstream's provider where it is known; "" leaves it to the bytes
	Client   string // remote address without port; "" for a program's own calls

	Start     time.Time // the request's head was read
	FirstByte time.Time // of the answer's body
	End       time.Time

	Open       string      // the receipt of the Open record; "" in others than Close
	Retry      string      // x-stainless-retry-count as sent; "" without
	RetryOf    string      // ID of the attempt before, where it was seen
	Credential *Credential // nil: none was sent

	Method, URL string
	Request     Message

	Status    int // of the upstream; 0: there was no answer
	Response  Message
	Transport Transport
	Fault     string // what ended it, for Transports other than Complete

	// ClientStream is what the client sent after a 101 (a WebSocket); nil without.
	ClientStream *Body

	// Derive says whether the record carries derived fields.
	Derive bool
	// Asked is what the Open record derived of the request, so that the Close record need not; nil: derive it.
	Asked *Derived
	// Arrivals are where the first chunks of the answer ended, and when they came.
	Arrivals []Arrival

	secrets []string // masked by Scrub
}

// Arrival is a chunk of the answer.
type Arrival struct {
	End int64 // offset of its end in the body
	At  time.Time
}

// Message is a request or an answer.
type Message struct {
	Proto    string
	Headers  []Field  // those that are kept, names in lower case, sorted
	Withheld []string // names of those that are not
	Trailers []Field
	Body     Body
	Absent   bool   // the body stands in the Open record
	Undone   string // the content coding that Body.Bytes are no longer in, because a credential stood in what it held

	plain *plain // what the content coding holds; nil: it was not looked into yet
}

// Field is a header.
type Field struct{ Name, Value string }

// Body is bytes as they were on the wire (content codings not undone, transfer
// codings undone).
type Body struct {
	Bytes  []byte      // in memory, or
	File   io.ReaderAt // from Offset on
	Offset int64

	Kept   int64 // bytes in Bytes or File
	Size   int64 // bytes that passed; more than Kept where the limit cut it
	Masked bool  // a credential in it was replaced by asterisks (set by Scrub, for files as they are read)
	Digest record.Digest
}

// BytesBody is a body in memory.
func BytesBody(b []byte, sum record.Digest) Body {
	return Body{Bytes: b, Kept: int64(len(b)), Size: int64(len(b)), Digest: sum}
}

// Reader reads what was kept.
func (b *Body) Reader() io.Reader {
	if b.File != nil {
		return io.NewSectionReader(b.File, b.Offset, b.Kept)
	}
	return &sliceReader{b: b.Bytes}
}

// Load reads a file of up to most bytes into memory. One that cannot be read stays a file.
func (b *Body) Load(most int64) {
	if b.File == nil || b.Kept > most {
		return
	}
	whole := make([]byte, b.Kept)
	if _, err := io.ReadFull(b.Reader(), whole); err == nil {
		b.Bytes, b.File, b.Offset = whole, nil, 0
	}
}

type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}
