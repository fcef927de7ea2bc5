package capture

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// head is what stands before the messages.
type head struct {
	V          int         `json:"v"`
	Kind       Kind        `json:"kind"`
	ID         string      `json:"call_id"`
	Upstream   string      `json:"upstream"`
	Provider   string      `json:"upstream_provider,omitempty"`
	Client     string      `json:"client,omitempty"`
	Start      string      `json:"start"`
	FirstByte  string      `json:"first_byte,omitempty"`
	End        string      `json:"end,omitempty"`
	Open       string      `json:"open,omitempty"`
	Retry      string      `json:"retry_count,omitempty"`
	RetryOf    string      `json:"retry_of,omitempty"`
	Credential *Credential `json:"credential,omitempty"`
	Method     string      `json:"method"`
	URL        string      `json:"url"`
	Status     *int        `json:"http_status,omitempty"`
	Transport  Transport   `json:"transport,omitempty"`
	Fault      string      `json:"fault,omitempty"`
	Arrivals   [][2]int64  `json:"arrivals,omitempty"` // [offset of a chunk's end in the answer, microseconds since start]
}

// part is a message without its body's bytes.
type part struct {
	Proto    string   `json:"proto,omitempty"`
	Headers  []Field  `json:"headers,omitempty"`
	Withheld []string `json:"headers_withheld,omitempty"`
	Trailers []Field  `json:"trailers,omitempty"`
	Size     int64    `json:"size"`
	Kept     *int64   `json:"kept,omitempty"` // where it is not all
	Digest   string   `json:"sha256"`
}

// marshal is json.Marshal without escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// InMemory says whether no body lies in a file: then Encode is cheap.
func (e *Exchange) InMemory() bool {
	return e.Request.Body.File == nil && e.Response.Body.File == nil && (e.ClientStream == nil || e.ClientStream.File == nil)
}

// Encode writes the record's body to w. That of an Open sets Asked. Its errors are those of w and of the
// files that bodies lie in.
func (e *Exchange) Encode(w io.Writer) error {
	h := head{
		V: Version, Kind: e.Kind, ID: e.ID, Upstream: e.Upstream, Provider: e.Provider, Client: e.Client,
		Start: stamp(e.Start), FirstByte: stamp(e.FirstByte), End: stamp(e.End),
		Open: e.Open, Retry: e.Retry, RetryOf: e.RetryOf, Credential: e.Credential,
		Method: e.Method, URL: e.URL, Transport: e.Transport, Fault: e.Fault,
	}
	if e.Kind != Open {
		h.Status = &e.Status
		for _, a := range e.Arrivals {
			h.Arrivals = append(h.Arrivals, [2]int64{a.End, a.At.Sub(e.Start).Microseconds()})
		}
	}
	s := &sticky{w: w}
	s.object(h)
	s.text(`,"request":`)
	s.message(&e.Request)
	if e.Kind != Open && e.Status != 0 {
		s.text(`,"response":`)
		s.message(&e.Response)
	}
	if e.ClientStream != nil {
		s.text(`,"client_stream":`)
		s.message(&Message{Body: *e.ClientStream})
	}
	if e.Derive && s.err == nil {
		derived := e.derive()
		if e.Kind == Open {
			e.Asked = derived
		}
		if d, err := marshal(derived); err == nil {
			s.text(`,"derived":`)
			s.write(d)
		}
	}
	s.text("}\n")
	return s.err
}

// sticky is a writer that remembers its first error.
type sticky struct {
	w       io.Writer
	err     error
	scratch []byte // of escaped
}

func (s *sticky) write(b []byte) {
	if s.err == nil {
		_, s.err = s.w.Write(b)
	}
}

func (s *sticky) text(t string) { s.write([]byte(t)) }

// object writes a JSON object without its closing brace.
func (s *sticky) object(v any) {
	b, err := marshal(v)
	if err != nil {
		s.err = fmt.Errorf("encode the exchange: %w", err)
		return
	}
	s.write(b[:len(b)-1])
}

func (s *sticky) message(m *Message) {
	b := &m.Body
	p := part{Proto: m.Proto, Headers: m.Headers, Withheld: m.Withheld, Trailers: m.Trailers, Size: b.Size, Digest: b.Digest.String()}
	if b.Kept != b.Size && !m.Absent {
		p.Kept = &b.Kept
	}
	s.object(p)
	if !m.Absent && s.err == nil {
		s.body(b)
	}
	s.text("}")
}

// body writes the bytes: as text where they are UTF-8, so that a parser gives them
// back byte for byte, else in base64.
func (s *sticky) body(b *Body) {
	text, err := isText(b)
	if err != nil {
		s.err = err
		return
	}
	if text {
		s.text(`,"body":"`)
		if b.File == nil {
			s.escaped(b.Bytes)
		} else {
			_, err = io.Copy(writerFunc(s.escaped), b.Reader())
		}
	} else {
		s.text(`,"body_base64":"`)
		enc := base64.NewEncoder(base64.StdEncoding, writerFunc(s.write))
		_, err = io.Copy(enc, b.Reader())
		_ = enc.Close() // its error is in s.err
	}
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("read the body: %w", err)
	}
	s.text(`"`)
	if f, ok := b.File.(*scrubbed); b.Masked || ok && *f.found {
		s.text(`,"masked":true`)
	}
}

// writerFunc is an io.Writer whose error is kept elsewhere.
type writerFunc func(b []byte)

func (f writerFunc) Write(b []byte) (int, error) {
	f(b)
	return len(b), nil
}

const hexDigits = "0123456789abcdef"

// escapes are what JSON demands of a byte in a string, "" where it stands for itself.
var escapes = func() (table [256]string) {
	for c := range 0x20 {
		table[c] = `\u00` + string([]byte{hexDigits[c>>4], hexDigits[c&15]})
	}
	table['"'], table['\\'], table['\n'], table['\r'], table['\t'] = `\"`, `\\`, `\n`, `\r`, `\t`
	return table
}()

// escaped writes text as the inside of a JSON string. Only what JSON demands is
// escaped; it never splits a character.
func (s *sticky) escaped(b []byte) {
	out := s.scratch[:0]
	start := 0
	for i, c := range b {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		if out = append(append(out, b[start:i]...), escapes[c]...); len(out) >= scratchBytes {
			s.write(out)
			out = out[:0]
		}
		start = i + 1
	}
	s.write(out)
	s.scratch = out[:0]
	s.write(b[start:])
}

// scratchBytes are written together.
const scratchBytes = 4 << 10

// isText reports whether a body is UTF-8.
func isText(b *Body) (bool, error) {
	if b.File == nil {
		return utf8.Valid(b.Bytes), nil
	}
	r, buf, held := b.Reader(), make([]byte, 32<<10), 0
	for {
		n, err := r.Read(buf[held:])
		whole := buf[:held+n]
		cut := len(whole)
		if err == nil { // a character may go on in the next chunk
			for back := 1; back <= min(utf8.UTFMax, len(whole)); back++ {
				if at := len(whole) - back; utf8.RuneStart(whole[at]) {
					if !utf8.FullRune(whole[at:]) {
						cut = at
					}
					break
				}
			}
		}
		if !utf8.Valid(whole[:cut]) {
			return false, nil
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read the body: %w", err)
		}
		held = copy(buf, whole[cut:])
	}
}
