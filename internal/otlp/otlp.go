// Package otlp takes an OTLP export request apart into spans and log records,
// each with the bytes that came, reads what they say of a call to a model in
// any of the usual conventions, and writes the record's body. docs/format/otlp.md
// is the format. It does no I/O.
package otlp

import (
	"errors"
	"time"
)

// Signal is what an export request holds.
type Signal string

// The signals that hold calls.
const (
	Traces Signal = "traces"
	Logs   Signal = "logs"
)

// Encoding is how a request is encoded.
type Encoding string

// The encodings of OTLP/HTTP.
const (
	Protobuf Encoding = "protobuf"
	JSON     Encoding = "json"
)

// ContentType is the encoding's media type.
func (e Encoding) ContentType() string {
	if e == JSON {
		return "application/json"
	}
	return "application/x-protobuf"
}

// Bounds of one request. One beyond them is not taken apart.
const (
	MaxItems = 100_000
	// MaxParts bounds what the items take with what stands around each of them: a resource is repeated in every record.
	MaxParts = 256 << 20

	// MaxAround bounds the attributes of all resources, and those of scopes that may hold credentials, which stay in memory as long as the request does.
	MaxAround = 1 << 18

	maxAttributes = 1024 // of an item, a resource or an event, that are looked at
	maxEvents     = 64   // of a span, that are looked at
)

// Errors of Split.
var (
	// ErrMalformed: the request is not what its encoding asks for.
	ErrMalformed = errors.New("malformed")
	// ErrTooMuch: the request is beyond a bound of this package.
	ErrTooMuch = errors.New("more than is taken apart")
)

// Item is one span or log record of a request, as it came. It shares the request's memory.
type Item struct {
	signal   Signal
	encoding Encoding
	raw      []byte
	scope    *scope
}

// Size is how many bytes the item has, with what stands around it.
func (it *Item) Size() int { return len(it.raw) + len(it.scope.outer) + len(it.scope.inner) }

// scope is what stands around items: everything of their request but other items.
type scope struct {
	resource attributes  // of the resource
	suspects []attribute // of these, the ones that may hold credentials
	own      []attribute // likewise, of the scope itself
	name     string      // of the instrumentation
	dropped  uint64      // attributes of resource and scope that the sender dropped

	// Protobuf: the fields of ResourceSpans and of ScopeSpans but for what is inside of them.
	// JSON: the members, comma separated.
	outer, inner []byte
}

// Split takes a request apart. It fails with ErrMalformed where the items cannot be found, and with ErrTooMuch;
// what is wrong within one item is the item's own matter. The data must not change as long as the items are used.
func Split(signal Signal, encoding Encoding, data []byte) ([]Item, error) {
	s := splitter{signal: signal, encoding: encoding}
	var err error
	if encoding == JSON {
		err = s.json(data)
	} else {
		err = s.protobuf(data)
	}
	if err != nil {
		return nil, err
	}
	return s.items, nil
}

// splitter collects the items of a request.
type splitter struct {
	signal   Signal
	encoding Encoding
	items    []Item
	parts    int // bytes of all items with what stands around them
	attrs    int // attributes that count for MaxAround
}

// around counts attributes of a resource or a scope.
func (s *splitter) around(more int) error {
	if s.attrs += more; s.attrs > MaxAround {
		return ErrTooMuch
	}
	return nil
}

func (s *splitter) add(raw []byte, sc *scope) error {
	s.parts += len(raw) + len(sc.outer) + len(sc.inner)
	if len(s.items) >= MaxItems || s.parts > MaxParts {
		return ErrTooMuch
	}
	s.items = append(s.items, Item{s.signal, s.encoding, raw, sc})
	return nil
}

// content is what an item says. It shares the request's memory.
type content struct {
	traceID, spanID, parentID string // lower-case hex; "" for none
	ids                       string // "<trace>-<span>" where there are both
	trace, span               []byte // as protobuf has them
	name                      string // of a span, or of an event
	start, end                uint64 // Unix nanoseconds; of a log record the first time that it has, and 0
	sampled                   bool   // of a log record: its span is exported
	failed                    bool   // the status is an error
	message                   string // of the status
	body                      value  // of a log record
	attrs                     attributes
	events                    []event // of a span
	dropped                   dropped
	more                      bool // something else may hold credentials, too: mask looks at all of the item
}

// attributes are a list that is asked for many names, of which it has few.
type attributes struct {
	list []attribute
	keys [4]uint64 // a bit for each key, by keyBit
}

type attribute struct {
	key   string
	value value
	raw   []byte // all of it, as it came
}

// keyBit is which of 256 bits a key has.
func keyBit(key string) uint8 {
	if len(key) == 0 {
		return 0
	}
	return uint8(len(key))*37 ^ key[len(key)-1]*11 ^ key[len(key)/2]*3
}

func (a *attributes) add(one attribute) {
	bit := keyBit(one.key)
	a.keys[bit>>6] |= 1 << (bit & 63)
	a.list = append(a.list, one)
}

// reset empties the list and keeps its memory.
func (a *attributes) reset() { *a = attributes{list: a.list[:0]} }

// get is the first value under one of the names; one of no kind where there is none.
func (a *attributes) get(names ...string) value {
	for _, name := range names {
		if bit := keyBit(name); a.keys[bit>>6]&(1<<(bit&63)) == 0 {
			continue
		}
		for i := range a.list {
			if a.list[i].key == name && a.list[i].value.kind != kindNone {
				return a.list[i].value
			}
		}
	}
	return value{}
}

// has says whether one of the names has a value.
func (a *attributes) has(names ...string) bool { return a.get(names...).kind != kindNone }

type event struct {
	name  string
	attrs attributes
}

// read reads an item, whose content is empty as yet. Its error says why not all of it could be.
func (c *content) read(it *Item) (err error) {
	if it.encoding == JSON {
		err = c.json(it.signal, it.raw)
		if c.traceID != "" && c.spanID != "" {
			c.ids = c.traceID + "-" + c.spanID
		}
		return err
	}
	err = c.protobuf(it.signal, it.raw)
	c.setIDs()
	return err
}

// setIDs makes the ids of what protobuf has, which are parts of one text.
func (c *content) setIDs() {
	var space [2*2*maxID + 1]byte
	b := appendID(space[:0], c.trace)
	n := len(b)
	if n > 0 {
		b = append(b, '-')
	}
	from := len(b)
	b = appendID(b, c.span)
	all := string(b)
	c.traceID, c.spanID = all[:n], all[from:]
	if n > 0 && len(all) > from {
		c.ids = all
	}
}

// moment is a time as OTLP has it; zero for none, or one that no clock shows.
func moment(nanoseconds uint64) time.Time {
	if nanoseconds == 0 || nanoseconds >= 1<<62 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanoseconds)).UTC()
}
