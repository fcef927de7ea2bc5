package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// output writes JSON: encoding/json took a third of a call's processor time. Members are preceded by a
// comma unless they are the first.
type output struct {
	b   []byte
	w   io.Writer // gets what is in b from time to time; nil: everything stays in b
	err error     // of w, or of a body's file
}

// flushBytes are written together.
const flushBytes = 32 << 10

func (s *output) flushFull() error {
	if len(s.b) >= flushBytes {
		s.flush()
	}
	return s.err
}

func (s *output) flush() {
	if s.w == nil {
		return
	}
	if s.err == nil {
		_, s.err = s.w.Write(s.b)
	}
	s.b = s.b[:0]
}

// element puts a comma where something stands before.
func (s *output) element() {
	if n := len(s.b); n > 0 && s.b[n-1] != '{' && s.b[n-1] != '[' {
		s.b = append(s.b, ',')
	}
}

func (s *output) name(name string) {
	s.element()
	s.b = append(append(append(s.b, '"'), name...), `":`...)
}

func (s *output) open(name string, bracket byte) {
	s.name(name)
	s.b = append(s.b, bracket)
}

func (s *output) close(bracket byte) { s.b = append(s.b, bracket) }

func (s *output) text(name, value string) {
	s.name(name)
	s.b = appendString(s.b, value)
}

// some writes a member unless it is empty.
func (s *output) some(name, value string) {
	if value != "" {
		s.text(name, value)
	}
}

// time writes a moment; the zero one is empty.
func (s *output) time(name string, t time.Time) {
	if s.name(name); t.IsZero() {
		s.b = append(s.b, `""`...)
		return
	}
	s.b = append(t.UTC().AppendFormat(append(s.b, '"'), time.RFC3339Nano), '"')
}

func (s *output) int(name string, value int64) {
	s.name(name)
	s.b = strconv.AppendInt(s.b, value, 10)
}

func (s *output) flag(name string, value bool) {
	s.name(name)
	s.b = strconv.AppendBool(s.b, value)
}

func (s *output) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	s.open(name, '[')
	for _, v := range values {
		s.element()
		s.b = appendString(s.b, v)
	}
	s.close(']')
}

func (s *output) fields(name string, list []Field) {
	if len(list) == 0 {
		return
	}
	s.open(name, '[')
	for _, f := range list {
		s.element()
		s.b = append(appendString(append(s.b, '['), f.Name), ',')
		s.b = append(appendString(s.b, f.Value), ']')
	}
	s.close(']')
}

// encode writes the members of the derived fields.
func (d *Derived) encode(s *output) {
	s.int("extractor", int64(d.Extractor))
	s.text("provider", d.Provider)
	s.some("call_type", d.Operation)
	s.some("api_base", d.APIBase)
	s.some("model", d.RequestedModel)
	s.some("served_model", d.ServedModel)
	s.flag("stream", d.Stream)
	s.some("id", d.ResponseID)
	s.some("previous_response_id", d.PreviousID)
	s.some("trace_id", d.TraceID)
	s.some("end_user", d.User)
	s.some("user_agent", d.UserAgent)
	s.some("key_hash", d.KeyHash)
	s.some("status", d.Status)
	s.some("ended_by", d.EndedBy)
	s.some("finish_reason", d.FinishReason)
	s.texts("finish_reasons", d.FinishReasons)
	s.some("first_token", d.FirstToken)
	s.usage(d.Usage)
	if t := d.Tokens; t != nil {
		s.int("tokens_in", t.Input)
		s.int("tokens_out", t.Output)
		s.int("tokens_cached", t.Cached)
		if t.CacheWrite != 0 {
			s.int("tokens_cache_write", t.CacheWrite)
		}
		s.int("tokens_reasoning", t.Reasoning)
	}
	s.some("text", d.Text)
	if len(d.ToolCalls) > 0 {
		s.open("tool_calls", '[')
		for i := range d.ToolCalls {
			t := &d.ToolCalls[i]
			s.element()
			s.b = append(s.b, '{')
			s.some("id", t.ID)
			s.some("name", t.Name)
			s.some("arguments", t.Arguments)
			s.close('}')
		}
		s.close(']')
	}
	if d.InStream {
		s.flag("error_in_stream", true)
	}
	s.some("error_class", d.ErrorClass)
	s.some("error_code", d.ErrorCode)
	s.some("error_message", d.ErrorMessage)
	if d.Events != 0 {
		s.int("events", int64(d.Events))
	}
	s.texts("unparsed", d.Unparsed)
}

// usage writes a provider's own objects, which are JSON, without what is between their members.
func (s *output) usage(list []json.RawMessage) {
	if len(list) == 0 {
		return
	}
	s.open("usage", '[')
	for _, raw := range list {
		s.element()
		if !utf8.Valid(raw) {
			raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
		}
		if bytes.ContainsAny(raw, " \t\r\n") {
			var b bytes.Buffer
			if err := json.Compact(&b, raw); err != nil { // cannot be: it was parsed
				raw = []byte("null")
			} else {
				raw = b.Bytes()
			}
		}
		s.b = append(s.b, raw...)
	}
	s.close(']')
}

// appendString appends a JSON string. What is no UTF-8 is replaced.
func appendString(dst []byte, v string) []byte {
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\uFFFD")
	}
	dst = append(dst, '"')
	dst = appendEscaped(dst, []byte(v))
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// escapes are what JSON demands behind a backslash for a byte in a string, 0 where the byte stands for itself.
var escapes = func() (table [256]byte) {
	for c := range 0x20 {
		table[c] = 'u'
	}
	table['"'], table['\\'], table['\n'], table['\r'], table['\t'] = '"', '\\', 'n', 'r', 't'
	return table
}()

// Each byte of a word, for appendEscaped.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// appendEscaped appends text as the inside of a JSON string. Only what JSON demands is
// escaped; it never splits a character. It looks at eight bytes at once.
func appendEscaped(dst, b []byte) []byte {
	const longest = 6 // \u0000
	for len(b) >= 8 {
		if cap(dst)-len(dst) < 8+longest {
			dst = slices.Grow(dst, 8+longest+len(b)+len(b)/8)
		}
		at := len(dst)
		out := dst[at : at+8+longest]
		w := binary.LittleEndian.Uint64(b)
		binary.LittleEndian.PutUint64(out, w) // those behind the first that is escaped are written again
		quote, slash := w^('"'*ones), w^('\\'*ones)
		found := (((w - 0x20*ones) &^ w) | ((quote - ones) &^ quote) | ((slash - ones) &^ slash)) & highs
		if found == 0 {
			dst, b = dst[:at+8], b[8:]
			continue
		}
		n := bits.TrailingZeros64(found) / 8 // the lowest is exact; a borrow can mark others that are none
		dst, b = appendEscape(dst[:at+n], b[n]), b[n+1:]
	}
	for _, c := range b {
		if escapes[c] == 0 {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

// appendEscape appends the escape of a byte that has one.
func appendEscape(dst []byte, c byte) []byte {
	if e := escapes[c]; e != 'u' {
		return append(dst, '\\', e)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
