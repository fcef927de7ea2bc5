package otlp

import (
	"encoding/hex"
	"fmt"
	"math"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protobuf message. raw is all of it, tag and length
// included; bytes is the content of a length-delimited one, num of any other.
type field struct {
	number protowire.Number
	kind   protowire.Type
	raw    []byte
	bytes  []byte
	num    uint64
}

// eachField calls f with the fields of a message, in order.
func eachField(message []byte, f func(field) error) error {
	for b := message; len(b) > 0; {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		one := field{number: number, kind: kind}
		m := 0
		switch kind {
		case protowire.BytesType:
			one.bytes, m = protowire.ConsumeBytes(b[n:])
		case protowire.VarintType:
			one.num, m = protowire.ConsumeVarint(b[n:])
		case protowire.Fixed64Type:
			one.num, m = protowire.ConsumeFixed64(b[n:])
		case protowire.Fixed32Type:
			var v uint32
			v, m = protowire.ConsumeFixed32(b[n:])
			one.num = uint64(v)
		default:
			m = protowire.ConsumeFieldValue(number, kind, b[n:])
		}
		if m < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(m))
		}
		one.raw = b[:n+m]
		if err := f(one); err != nil {
			return err
		}
		b = b[n+m:]
	}
	return nil
}

// is reports whether the field is a length-delimited one of that number.
func (f *field) is(number protowire.Number) bool {
	return f.number == number && f.kind == protowire.BytesType
}

// tag is number and type in one, as the wire has them. A field of another type than its number should have is one of the future: left alone.
func (f *field) tag() uint64 { return protowire.EncodeTag(f.number, f.kind) }

// Types as they stand in a tag.
const (
	asVarint  = uint64(protowire.VarintType)
	asFixed64 = uint64(protowire.Fixed64Type)
	asBytes   = uint64(protowire.BytesType)
	asFixed32 = uint64(protowire.Fixed32Type)
)

// text is the content as a string that shares its memory.
func (f *field) text() string { return shared(f.bytes) }

// shared is b as a string that shares its memory.
func shared(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Numbers of fields that traces and logs have alike.
const (
	numGroups   = 1 // ExportTraceServiceRequest.resource_spans, ExportLogsServiceRequest.resource_logs
	numResource = 1 // of ResourceSpans
	numScopes   = 2
	numScope    = 1 // of ScopeSpans
	numItems    = 2
)

func (s *splitter) protobuf(data []byte) error {
	return eachField(data, func(f field) error {
		if !f.is(numGroups) {
			return nil
		}
		return s.protobufGroup(f.bytes)
	})
}

// protobufGroup reads a ResourceSpans or ResourceLogs.
func (s *splitter) protobufGroup(group []byte) error {
	var outer []byte
	var resource attributes
	around := uint64(0) // attributes that the sender dropped
	err := eachField(group, func(f field) error {
		if f.is(numScopes) {
			return nil
		}
		outer = join(outer, f.raw)
		if f.is(numResource) {
			before := len(resource.list)
			around += resource.addResource(f.bytes)
			return s.around(len(resource.list) - before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	suspects := resource.suspects()
	return eachField(group, func(f field) error {
		if !f.is(numScopes) {
			return nil
		}
		return s.protobufScope(f.bytes, &scope{resource: resource, suspects: suspects, outer: outer, dropped: around})
	})
}

// join appends a field to others; the first is not copied.
func join(dst, raw []byte) []byte {
	if dst == nil {
		return raw[:len(raw):len(raw)]
	}
	return append(dst, raw...)
}

// protobufScope reads a ScopeSpans or ScopeLogs.
func (s *splitter) protobufScope(message []byte, sc *scope) error {
	err := eachField(message, func(f field) error {
		if f.is(numItems) {
			return nil
		}
		sc.inner = join(sc.inner, f.raw)
		if f.is(numScope) {
			before := len(sc.own)
			sc.parse(f.bytes)
			return s.around(len(sc.own) - before)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eachField(message, func(f field) error {
		if !f.is(numItems) {
			return nil
		}
		return s.add(f.bytes, sc)
	})
}

// parse reads an InstrumentationScope.
func (s *scope) parse(message []byte) {
	_ = eachField(message, func(f field) error { // it is only told of: what cannot be read is left out
		switch {
		case f.is(1):
			s.name = f.text()
		case f.is(3):
			if a, _ := parseAttribute(f.bytes); a.suspect() {
				s.own = append(s.own, a)
			}
		case f.tag() == 4<<3|asVarint:
			s.dropped += f.count32()
		}
		return nil
	})
}

// protobuf reads a Span or LogRecord.
func (c *content) protobuf(signal Signal, raw []byte) error {
	if signal == Logs {
		return eachField(raw, c.logField)
	}
	return eachField(raw, c.spanField)
}

func (c *content) spanField(f field) (err error) {
	switch f.tag() {
	case 1<<3 | asBytes:
		c.trace = f.bytes
	case 2<<3 | asBytes:
		c.span = f.bytes
	case 4<<3 | asBytes:
		var space [2 * maxID]byte
		c.parentID = string(appendID(space[:0], f.bytes))
	case 5<<3 | asBytes:
		c.more = c.more || c.name != ""
		c.name = f.text()
	case 7<<3 | asFixed64:
		c.start = f.num
	case 8<<3 | asFixed64:
		c.end = f.num
	case 9<<3 | asBytes:
		err = c.attribute(f.bytes)
	case 10<<3 | asVarint:
		c.dropped.attributes += f.count32()
	case 11<<3 | asBytes:
		if len(c.events) >= maxEvents {
			c.more = true
			break
		}
		var e event
		var all bool
		e, all, err = c.parseEvent(f.bytes)
		c.events = append(c.events, e)
		c.more = c.more || !all
	case 12<<3 | asVarint:
		c.dropped.events += f.count32()
	case 13<<3 | asBytes: // a link
		c.more = true
		_ = eachField(f.bytes, func(f field) error { // nothing else of it is read
			if f.tag() == 5<<3|asVarint {
				c.dropped.attributes += f.count32()
			}
			return nil
		})
	case 14<<3 | asVarint:
		c.dropped.links += f.count32()
	case 15<<3 | asBytes:
		err = eachField(f.bytes, func(f field) error {
			switch f.tag() {
			case 2<<3 | asBytes:
				c.more = c.more || c.message != ""
				c.message = f.text()
			case 3<<3 | asVarint:
				c.failed = int32(f.num) == 2
			}
			return nil
		})
	}
	return err
}

func (c *content) logField(f field) (err error) {
	switch f.tag() {
	case 1<<3 | asFixed64:
		if f.num > 0 {
			c.start = f.num
		}
	case 5<<3 | asBytes:
		c.body = value{kind: kindProtobuf, raw: f.bytes}.resolve()
	case 6<<3 | asBytes:
		err = c.attribute(f.bytes)
	case 7<<3 | asVarint:
		c.dropped.attributes += f.count32()
	case 8<<3 | asFixed32:
		c.sampled = f.num&1 != 0
	case 9<<3 | asBytes:
		c.trace = f.bytes
	case 10<<3 | asBytes:
		c.span = f.bytes
	case 11<<3 | asFixed64:
		if c.start == 0 {
			c.start = f.num
		}
	case 12<<3 | asBytes:
		c.more = c.more || c.name != ""
		c.name = f.text()
	}
	return err
}

func (c *content) attribute(message []byte) error {
	if len(c.attrs.list) >= maxAttributes {
		c.more = true
		return nil
	}
	a, err := parseAttribute(message)
	c.attrs.add(a)
	return err
}

// parseEvent reads an Event. all is false where it has more attributes than are looked at.
func (c *content) parseEvent(message []byte) (e event, all bool, err error) {
	all = true
	err = eachField(message, func(f field) error {
		switch {
		case f.is(2):
			e.name = f.text()
		case f.is(3) && len(e.attrs.list) >= maxEvents:
			all = false
		case f.is(3):
			a, err := parseAttribute(f.bytes)
			e.attrs.add(a)
			return err
		case f.tag() == 4<<3|asVarint:
			c.dropped.attributes += f.count32()
		}
		return nil
	})
	return e, all, err
}

// addResource adds the attributes of a Resource, of which there may be several: they are parts of one. Beyond maxAttributes these are the
// ones that may hold credentials. It returns how many the sender had dropped.
func (a *attributes) addResource(message []byte) (dropped uint64) {
	_ = eachField(message, func(f field) error { // it is only told of
		if !f.is(1) {
			if f.tag() == 2<<3|asVarint {
				dropped += f.count32()
			}
			return nil
		}
		one, err := parseAttribute(f.bytes)
		if len(a.list) < maxAttributes || one.suspect() {
			a.add(one)
		}
		return err
	})
	return dropped
}

func parseAttribute(message []byte) (a attribute, err error) {
	a.raw = message
	keys, values := 0, 0
	err = eachField(message, func(f field) error {
		switch {
		case f.is(1):
			a.key = f.text()
			keys++
		case f.is(2):
			if v := (value{kind: kindProtobuf, raw: f.bytes}).resolve(); v.kind != kindNone || values == 0 { // several are merged
				a.value = v
			}
			values++
		}
		return nil
	})
	a.value.odd = a.value.odd || keys > 1 || values > 1
	return a, err
}

// resolve reads a scalar AnyValue; lists and maps are left for later.
func (v value) resolve() value {
	out, fields := value{}, 0
	_ = eachField(v.raw, func(f field) error { // what cannot be read is no value
		fields++
		switch f.tag() {
		case 1<<3 | asBytes:
			out = value{kind: kindText, text: f.text()}
		case 2<<3 | asVarint:
			out = value{kind: kindBool}
			if f.num != 0 {
				out.num = 1
			}
		case 3<<3 | asVarint:
			out = value{kind: kindInt, int: int64(f.num), num: float64(int64(f.num))}
		case 4<<3 | asFixed64:
			out = value{kind: kindNumber, num: math.Float64frombits(f.num)}
		case 5<<3 | asBytes, 6<<3 | asBytes:
			out = v
		case 7<<3 | asBytes:
			out = value{kind: kindBytes, raw: f.bytes}
		}
		return nil
	})
	out.odd = fields > 1
	return out
}

// maxID is how many bytes of an id count.
const maxID = 32

// appendID appends a trace or span id; nothing for none, which may be all zeros.
func appendID(dst, id []byte) []byte {
	for _, c := range id {
		if c != 0 {
			return hex.AppendEncode(dst, id[:min(len(id), maxID)])
		}
	}
	return dst
}
