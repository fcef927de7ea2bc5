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
	err := eachField(group, func(f field) error {
		if f.is(numScopes) {
			return nil
		}
		outer = join(outer, f.raw)
		if f.is(numResource) {
			resource, _ = parseAttributes(f.bytes) // it is only told of
			return s.around(resource)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return eachField(group, func(f field) error {
		if !f.is(numScopes) {
			return nil
		}
		return s.protobufScope(f.bytes, outer, resource)
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
func (s *splitter) protobufScope(message, outer []byte, resource attributes) error {
	sc := &scope{resource: resource, outer: outer}
	err := eachField(message, func(f field) error {
		if f.is(numItems) {
			return nil
		}
		sc.inner = join(sc.inner, f.raw)
		if f.is(numScope) {
			sc.parse(f.bytes)
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
		if f.is(1) {
			s.name = f.text()
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
	switch f.number {
	case 1:
		c.traceID = id(f.bytes)
	case 2:
		c.spanID = id(f.bytes)
	case 4:
		c.parentID = id(f.bytes)
	case 5:
		c.name = f.text()
	case 7:
		c.start = f.num
	case 8:
		c.end = f.num
	case 9:
		err = c.attribute(f.bytes)
	case 11:
		if len(c.events) < maxEvents {
			var e event
			e, err = parseEvent(f.bytes)
			c.events = append(c.events, e)
		}
	case 15:
		err = eachField(f.bytes, func(f field) error {
			switch f.number {
			case 2:
				c.message = f.text()
			case 3:
				c.failed = f.num == 2
			}
			return nil
		})
	}
	return err
}

func (c *content) logField(f field) (err error) {
	switch f.number {
	case 1:
		if f.num > 0 {
			c.start = f.num
		}
	case 5:
		c.body = value{kind: kindProtobuf, raw: f.bytes}.resolve()
	case 6:
		err = c.attribute(f.bytes)
	case 8:
		c.sampled = f.num&1 != 0
	case 9:
		c.traceID = id(f.bytes)
	case 10:
		c.spanID = id(f.bytes)
	case 11:
		if c.start == 0 {
			c.start = f.num
		}
	case 12:
		c.name = f.text()
	}
	return err
}

func (c *content) attribute(message []byte) error {
	if len(c.attrs) >= maxAttributes {
		return nil
	}
	a, err := parseAttribute(message)
	c.attrs = append(c.attrs, a)
	return err
}

func parseEvent(message []byte) (e event, err error) {
	err = eachField(message, func(f field) error {
		switch {
		case f.is(2):
			e.name = f.text()
		case f.is(3) && len(e.attrs) < maxEvents:
			a, err := parseAttribute(f.bytes)
			e.attrs = append(e.attrs, a)
			return err
		}
		return nil
	})
	return e, err
}

// parseAttributes reads the attributes of a Resource.
func parseAttributes(message []byte) (list attributes, err error) {
	err = eachField(message, func(f field) error {
		if !f.is(1) || len(list) >= maxAttributes {
			return nil
		}
		a, err := parseAttribute(f.bytes)
		list = append(list, a)
		return err
	})
	return list, err
}

func parseAttribute(message []byte) (a attribute, err error) {
	a.raw = message
	err = eachField(message, func(f field) error {
		switch {
		case f.is(1):
			a.key = f.text()
		case f.is(2):
			a.value = value{kind: kindProtobuf, raw: f.bytes}.resolve()
		}
		return nil
	})
	return a, err
}

// resolve reads a scalar AnyValue; lists and maps are left for later.
func (v value) resolve() value {
	out := value{}
	_ = eachField(v.raw, func(f field) error { // what cannot be read is no value
		switch f.number {
		case 1:
			out = value{kind: kindText, text: f.text()}
		case 2:
			out = value{kind: kindBool, num: float64(f.num & 1)}
		case 3:
			out = value{kind: kindInt, int: int64(f.num), num: float64(int64(f.num))}
		case 4:
			out = value{kind: kindNumber, num: math.Float64frombits(f.num)}
		case 5, 6:
			out = v
		case 7:
			out = value{kind: kindBytes, raw: f.bytes}
		}
		return nil
	})
	return out
}

// id is a trace or span id; "" for none, which may be all zeros.
func id(b []byte) string {
	for _, c := range b {
		if c != 0 {
			return hex.EncodeToString(b[:min(len(b), 32)])
		}
	}
	return ""
}
