package capture

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// head is what stands before the messages, as Parse reads it.
type head struct {
	V          int         `json:"v"`
	Kind       Kind        `json:"kind"`
	ID         string      `json:"call_id"`
	Upstream   string      `json:"upstream"`
	Provider   string      `json:"upstream_provider"`
	Client     string      `json:"client"`
	Start      string      `json:"start"`
	FirstByte  string      `json:"first_byte"`
	End        string      `json:"end"`
	Open       string      `json:"open"`
	Retry      string      `json:"retry_count"`
	RetryOf    string      `json:"retry_of"`
	Credential *Credential `json:"credential"`
	Method     string      `json:"method"`
	URL        string      `json:"url"`
	Status     *int        `json:"http_status"`
	Transport  Transport   `json:"transport"`
	Fault      string      `json:"fault"`
	Arrivals   [][2]int64  `json:"arrivals"` // [offset of a chunk's end in the answer, microseconds since start]
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// InMemory says whether no body lies in a file: then Append can be called.
func (e *Exchange) InMemory() bool {
	return e.Request.Body.File == nil && e.Response.Body.File == nil && (e.ClientStream == nil || e.ClientStream.File == nil)
}

// Append appends the record's body to dst, for an exchange that is InMemory. That of an Open sets Asked.
func (e *Exchange) Append(dst []byte) []byte {
	s := &output{b: dst}
	e.encode(s)
	return s.b
}

// Encode writes the record's body to w. That of an Open sets Asked. Its errors are those of w and of the
// files that bodies lie in.
func (e *Exchange) Encode(w io.Writer) error {
	s := &output{w: w}
	e.encode(s)
	s.flush()
	return s.err
}

func (e *Exchange) encode(s *output) {
	s.b = append(s.b, `{"v":`...)
	s.b = strconv.AppendInt(s.b, Version, 10)
	s.text("kind", string(e.Kind))
	s.text("call_id", e.ID)
	s.text("upstream", e.Upstream)
	s.some("upstream_provider", e.Provider)
	s.some("client", e.Client)
	s.time("start", e.Start)
	if !e.FirstByte.IsZero() {
		s.time("first_byte", e.FirstByte)
	}
	if !e.End.IsZero() {
		s.time("end", e.End)
	}
	s.some("open", e.Open)
	s.some("retry_count", e.Retry)
	s.some("retry_of", e.RetryOf)
	if c := e.Credential; c != nil {
		s.open("credential", '{')
		s.text("in", c.In)
		s.some("scheme", c.Scheme)
		s.text("hmac_sha256", c.HMAC)
		s.close('}')
	}
	s.text("method", e.Method)
	s.text("url", e.URL)
	if e.Kind != Open {
		s.int("http_status", int64(e.Status))
	}
	s.some("transport", string(e.Transport))
	s.some("fault", e.Fault)
	if e.Kind != Open && len(e.Arrivals) > 0 {
		s.open("arrivals", '[')
		for _, a := range e.Arrivals {
			s.element()
			s.b = append(strconv.AppendInt(append(s.b, '['), a.End, 10), ',')
			s.b = append(strconv.AppendInt(s.b, a.At.Sub(e.Start).Microseconds(), 10), ']')
		}
		s.close(']')
	}
	s.message("request", &e.Request)
	if e.Kind != Open && e.Status != 0 {
		s.message("response", &e.Response)
	}
	if e.ClientStream != nil {
		s.message("client_stream", &Message{Body: *e.ClientStream})
	}
	if e.Derive && s.err == nil {
		d := e.derive()
		if e.Kind == Open {
			e.Asked = d
		}
		s.open("derived", '{')
		d.encode(s)
		s.close('}')
	}
	s.b = append(s.b, "}\n"...)
}

// message writes a message.
func (s *output) message(name string, m *Message) {
	b := &m.Body
	s.open(name, '{')
	s.some("proto", m.Proto)
	s.fields("headers", m.Headers)
	s.texts("headers_withheld", m.Withheld)
	s.fields("trailers", m.Trailers)
	s.int("size", b.Size)
	if b.Kept != b.Size && !m.Absent && m.Undone == "" {
		s.int("kept", b.Kept)
	}
	s.some("undone", m.Undone)
	s.name("sha256")
	s.b = append(s.b, '"')
	s.b = append(hex.AppendEncode(s.b, b.Digest[:]), '"')
	if !m.Absent && s.err == nil {
		s.body(b)
	}
	s.close('}')
}

// body writes the bytes: as text where they are UTF-8, so that a parser gives them
// back byte for byte, else in base64.
func (s *output) body(b *Body) {
	text, err := isText(b)
	if err != nil {
		s.err = err
		return
	}
	if text {
		s.name("body")
		s.b = append(s.b, '"')
		if b.File == nil {
			s.b = appendEscaped(s.b, b.Bytes)
		} else {
			_, err = io.Copy(writerFunc(func(p []byte) error {
				s.b = appendEscaped(s.b, p)
				return s.flushFull()
			}), b.Reader())
		}
	} else {
		s.name("body_base64")
		s.b = append(s.b, '"')
		if b.File == nil {
			s.b = base64.StdEncoding.AppendEncode(s.b, b.Bytes)
		} else {
			enc := base64.NewEncoder(base64.StdEncoding, writerFunc(func(p []byte) error {
				s.b = append(s.b, p...)
				return s.flushFull()
			}))
			_, err = io.Copy(enc, b.Reader())
			_ = enc.Close() // its error is in s.err
		}
	}
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("read the body: %w", err)
	}
	s.b = append(s.b, '"')
	if f, ok := b.File.(*scrubbed); b.Masked || ok && *f.found {
		s.flag("masked", true)
	}
}

// writerFunc is an io.Writer that takes everything.
type writerFunc func(b []byte) error

func (f writerFunc) Write(b []byte) (int, error) { return len(b), f(b) }

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
