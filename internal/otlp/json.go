package otlp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// maxNesting is how deep a request in JSON may nest: the parser's stack grows with it.
const maxNesting = 1000

// names of members that traces and logs call differently.
func (s Signal) names() (groups, scopes, items string) {
	if s == Logs {
		return "resourceLogs", "scopeLogs", "logRecords"
	}
	return "resourceSpans", "scopeSpans", "spans"
}

func (s *splitter) json(data []byte) error {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) || !validJSON(data) {
		return fmt.Errorf("%w: no JSON in UTF-8", ErrMalformed)
	}
	root := gjson.Parse(shared(data))
	if !root.IsObject() {
		return fmt.Errorf("%w: no JSON object", ErrMalformed)
	}
	groups, scopes, items := s.signal.names()
	if root.Raw = strings.TrimSpace(root.Raw); !root.Get(groups).Exists() && strings.TrimSpace(root.Raw[1:len(root.Raw)-1]) != "" {
		return fmt.Errorf("%w: there is no %s", ErrMalformed, groups)
	}
	return each(root, groups, func(group gjson.Result) error {
		outer := without(group, scopes)
		var resource attributes
		around := uint64(0) // attributes that the sender dropped
		group.ForEach(func(key, r gjson.Result) bool {
			if key.Str == "resource" && r.IsObject() {
				around += droppedJSON(r)
				r.ForEach(func(key, list gjson.Result) bool {
					if key.Str == "attributes" {
						eachJSON(list, func(a attribute) {
							if len(resource.list) < maxAttributes || a.suspect() {
								resource.add(a)
							}
						})
					}
					return true
				})
			}
			return true
		})
		if err := s.around(len(resource.list)); err != nil {
			return err
		}
		suspects := resource.suspects()
		return each(group, scopes, func(one gjson.Result) error {
			sc := &scope{resource: resource, suspects: suspects, outer: outer, inner: without(one, items), dropped: around}
			sc.json(one)
			if err := s.around(len(sc.own)); err != nil {
				return err
			}
			return each(one, items, func(item gjson.Result) error {
				return s.add(bytesOf(item.Raw), sc)
			})
		})
	})
}

// json reads an InstrumentationScope, which is a member of v.
func (s *scope) json(v gjson.Result) {
	v.ForEach(func(key, sc gjson.Result) bool {
		if key.Str == "scope" && sc.IsObject() {
			s.dropped += droppedJSON(sc)
			sc.ForEach(func(key, member gjson.Result) bool {
				switch key.Str {
				case "name":
					s.name = member.String()
				case "attributes":
					eachJSON(member, func(a attribute) {
						if a.suspect() {
							s.own = append(s.own, a)
						}
					})
				}
				return true
			})
		}
		return true
	})
}

// otherNames are what some call the lists that hold items: none of what is in them is to be taken for nothing.
var otherNames = map[string]bool{
	"resource_spans": true, "scope_spans": true, "resource_logs": true, "scope_logs": true, "log_records": true, "logs": true,
	"instrumentationLibrarySpans": true, "instrumentation_library_spans": true, "instrumentationLibraryLogs": true, "instrumentation_library_logs": true,
}

// each calls f with the objects of a list that is a member of v.
func each(v gjson.Result, name string, f func(gjson.Result) error) (err error) {
	var list gjson.Result
	v.ForEach(func(key, member gjson.Result) bool {
		switch {
		case key.Str == name && list.Exists():
			err = fmt.Errorf("%w: %s is there twice", ErrMalformed, name)
		case key.Str == name:
			list = member
		case otherNames[key.Str]:
			err = fmt.Errorf("%w: %.40q is not what OTLP calls it", ErrMalformed, key.Str)
		}
		return err == nil
	})
	if err != nil || list.Type == gjson.Null {
		return err
	}
	if !list.IsArray() {
		return fmt.Errorf("%w: %s is no list", ErrMalformed, name)
	}
	list.ForEach(func(_, one gjson.Result) bool {
		if !one.IsObject() {
			err = fmt.Errorf("%w: %s holds something else than objects", ErrMalformed, name)
		} else {
			err = f(one)
		}
		return err == nil
	})
	return err
}

// bytesOf is s as bytes that share its memory: nobody may change them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// without is the members of an object but one, as they came, comma separated.
func without(v gjson.Result, name string) (out []byte) {
	v.ForEach(func(key, member gjson.Result) bool {
		if key.Str != name {
			if len(out) > 0 {
				out = append(out, ',')
			}
			out = append(append(append(out, key.Raw...), ':'), member.Raw...)
		}
		return true
	})
	return out
}

// json reads a span or log record.
func (c *content) json(signal Signal, raw []byte) error {
	gjson.Parse(shared(raw)).ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "traceId":
			c.traceID = hexID(v)
		case "spanId":
			c.spanID = hexID(v)
		case "parentSpanId":
			c.parentID = hexID(v)
		case "name", "eventName":
			c.more = c.more || c.name != ""
			c.name = v.String()
		case "startTimeUnixNano", "timeUnixNano":
			if n := unsigned(v); n > 0 {
				c.start = n
			}
		case "observedTimeUnixNano":
			if c.start == 0 {
				c.start = unsigned(v)
			}
		case "endTimeUnixNano":
			c.end = unsigned(v)
		case "flags":
			c.sampled = unsigned(v)&1 != 0
		case "status":
			if v.IsObject() {
				c.status(v)
			}
		case "body":
			c.body = valueOf(v)
		case "attributes":
			c.more = !c.attrs.addJSON(v) || c.more
		case "events":
			if signal == Traces && v.IsArray() {
				v.ForEach(func(_, e gjson.Result) bool {
					if len(c.events) >= maxEvents {
						c.more = true
						return false
					}
					c.event(e)
					return true
				})
			}
		case "links":
			c.more = true
			if v.IsArray() {
				v.ForEach(func(_, link gjson.Result) bool {
					c.dropped.attributes += droppedJSON(link)
					return true
				})
			}
		case droppedAttributes:
			c.dropped.attributes += unsigned32(v)
		case droppedEvents:
			c.dropped.events += unsigned32(v)
		case droppedLinks:
			c.dropped.links += unsigned32(v)
		}
		return true
	})
	return nil
}

// status reads a Status.
func (c *content) status(v gjson.Result) {
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "code":
			c.failed = v.Num == 2 || v.Str == "STATUS_CODE_ERROR"
		case "message":
			c.more = c.more || c.message != ""
			c.message = v.String()
		}
		return true
	})
}

// event reads an Event.
func (c *content) event(v gjson.Result) {
	if !v.IsObject() {
		return
	}
	var one event
	v.ForEach(func(key, v gjson.Result) bool {
		switch key.Str {
		case "name":
			one.name = v.String()
		case "attributes":
			c.more = !one.attrs.addJSON(v) || c.more
		case droppedAttributes:
			c.dropped.attributes += unsigned32(v)
		}
		return true
	})
	c.events = append(c.events, one)
}

// hexID is an id in OTLP/JSON, which has it in hex, not in base64.
func hexID(v gjson.Result) string {
	s := strings.ToLower(v.Str)
	if strings.Trim(s, "0") == "" || len(s) > 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}

// unsigned is a 64-bit number, which JSON has as text or as a number.
func unsigned(v gjson.Result) uint64 {
	text := v.Raw
	if v.Type == gjson.String {
		text = v.Str
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && v.Num > 0 && v.Num < 1<<63 {
		return uint64(v.Num) // as 1.7e18
	}
	return n
}

// addJSON adds a list of OTLP/JSON, of which there may be several. all is false where not all of it was added.
func (a *attributes) addJSON(v gjson.Result) (all bool) {
	all = v.IsArray() || v.Type == gjson.Null
	eachJSON(v, func(one attribute) {
		if len(a.list) < maxAttributes {
			a.add(one)
		} else {
			all = false
		}
	})
	return all
}

// eachJSON calls f with the attributes of a list of OTLP/JSON.
func eachJSON(list gjson.Result, f func(attribute)) {
	if !list.IsArray() {
		return
	}
	list.ForEach(func(_, v gjson.Result) bool {
		if v.IsObject() {
			f(attributeOf(v))
		}
		return true
	})
}

// attributeOf reads a KeyValue.
func attributeOf(v gjson.Result) attribute {
	a := attribute{raw: bytesOf(v.Raw)}
	keys, values := 0, 0
	v.ForEach(func(key, member gjson.Result) bool {
		switch key.Str {
		case "key":
			a.key = member.String()
			keys++
		case "value":
			a.value = valueOf(member)
			values++
		}
		return true
	})
	a.value.odd = a.value.odd || keys > 1 || values > 1
	return a
}

// valueOf reads an AnyValue; lists and maps are left for later.
func valueOf(v gjson.Result) (out value) {
	if !v.IsObject() {
		return out
	}
	members := 0
	v.ForEach(func(key, x gjson.Result) bool {
		members++
		switch key.Str {
		case "stringValue":
			out = value{kind: kindText, text: x.String()}
		case "boolValue":
			if yes := x.Type == gjson.True; yes || x.Type == gjson.False {
				out = value{kind: kindBool}
				if yes {
					out.num = 1
				}
			}
		case "intValue":
			if n, err := strconv.ParseInt(x.String(), 10, 64); err == nil {
				out = value{kind: kindInt, int: n, num: float64(n)}
			}
		case "doubleValue":
			if n, err := strconv.ParseFloat(x.String(), 64); err == nil {
				out = value{kind: kindNumber, num: n}
			}
		case "bytesValue":
			if b, err := base64.StdEncoding.DecodeString(x.Str); err == nil {
				out = value{kind: kindBytes, raw: b}
			}
		case "arrayValue", "kvlistValue":
			out = value{kind: kindJSON, raw: bytesOf(v.Raw)}
		}
		return true
	})
	out.odd = members > 1
	return out
}

// appendCompositeJSON appends an AnyValue of OTLP/JSON that is a list or a map as plain JSON.
func appendCompositeJSON(dst []byte, v gjson.Result, depth int) []byte {
	from := len(dst)
	v.ForEach(func(key, x gjson.Result) bool {
		switch key.Str {
		case "arrayValue":
			dst = append(dst[:from], '[')
			elements(x, func(e gjson.Result) {
				dst = valueOf(e).appendDepth(comma(dst), depth)
			})
			dst = append(dst, ']')
		case "kvlistValue":
			dst = append(dst[:from], '{')
			elements(x, func(e gjson.Result) {
				dst = append(appendString(comma(dst), e.Get("key").String()), ':')
				dst = valueOf(e.Get("value")).appendDepth(dst, depth)
			})
			dst = append(dst, '}')
		}
		return true
	})
	if len(dst) == from {
		return append(dst, "null"...)
	}
	return dst
}

// elements calls f with the objects of v's member "values".
func elements(v gjson.Result, f func(gjson.Result)) {
	if !v.IsObject() {
		return
	}
	v.Get("values").ForEach(func(_, e gjson.Result) bool {
		if e.IsObject() {
			f(e)
		}
		return true
	})
}
