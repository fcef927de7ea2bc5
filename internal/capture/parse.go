package capture

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"indelible/internal/record"
)

// written is a record's body as Encode wrote it.
type written struct {
	head
	Request      *writtenPart `json:"request"`
	Response     *writtenPart `json:"response"`
	ClientStream *writtenPart `json:"client_stream"`
	Derived      *Derived     `json:"derived"`
}

type writtenPart struct {
	Proto      string      `json:"proto"`
	Headers    [][2]string `json:"headers"`
	Withheld   []string    `json:"headers_withheld"`
	Trailers   [][2]string `json:"trailers"`
	Size       int64       `json:"size"`
	Kept       *int64      `json:"kept"`
	Digest     string      `json:"sha256"`
	Body       *string     `json:"body"`
	BodyBase64 *string     `json:"body_base64"`
	Masked     bool        `json:"masked"`
	Undone     string      `json:"undone"`
}

// Parse reads what Encode wrote. The derived fields are those in the record; nil where it has none.
func Parse(b []byte) (*Exchange, *Derived, error) {
	var w written
	if err := json.Unmarshal(b, &w); err != nil {
		return nil, nil, fmt.Errorf("parse exchange: %w", err)
	}
	if w.V != Version {
		return nil, nil, fmt.Errorf("parse exchange: version %d, this program reads %d", w.V, Version)
	}
	if w.Kind != Open && w.Kind != Close && w.Kind != Whole || w.Request == nil {
		return nil, nil, fmt.Errorf("parse exchange: a record of kind %q is none", w.Kind)
	}
	e := &Exchange{
		Kind: w.Kind, ID: w.ID, Upstream: w.Upstream, Provider: w.Provider, Client: w.Client,
		Open: w.Open, Retry: w.Retry, RetryOf: w.RetryOf, Credential: w.Credential,
		Method: w.Method, URL: w.URL, Transport: w.Transport, Fault: w.Fault, Derive: w.Derived != nil,
	}
	if w.Status != nil {
		e.Status = *w.Status
	}
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{w.Start, &e.Start}, {w.FirstByte, &e.FirstByte}, {w.End, &e.End}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, t.text)
		if err != nil {
			return nil, nil, fmt.Errorf("parse exchange: %w", err)
		}
		*t.to = at
	}
	for _, a := range w.Arrivals {
		e.Arrivals = append(e.Arrivals, Arrival{End: a[0], At: e.Start.Add(time.Duration(a[1]) * time.Microsecond)})
	}
	var err error
	if e.Request, err = w.Request.message(); err != nil {
		return nil, nil, err
	}
	if w.Response != nil {
		if e.Response, err = w.Response.message(); err != nil {
			return nil, nil, err
		}
	}
	if w.ClientStream != nil {
		m, err := w.ClientStream.message()
		if err != nil {
			return nil, nil, err
		}
		e.ClientStream = &m.Body
	}
	return e, w.Derived, nil
}

// Rederive derives the fields of a record again. What a Close record says of the
// request is only in its Open record.
func Rederive(b []byte) (*Derived, error) {
	e, _, err := Parse(b)
	if err != nil {
		return nil, err
	}
	return e.derive(), nil
}

func (p *writtenPart) message() (Message, error) {
	m := Message{Proto: p.Proto, Withheld: p.Withheld}
	for _, f := range p.Headers {
		m.Headers = append(m.Headers, Field{f[0], f[1]})
	}
	for _, f := range p.Trailers {
		m.Trailers = append(m.Trailers, Field{f[0], f[1]})
	}
	sum, err := hex.DecodeString(p.Digest)
	if err != nil || len(sum) != len(m.Body.Digest) {
		return m, fmt.Errorf("parse exchange: %q is no SHA-256", p.Digest)
	}
	switch {
	case p.Body != nil:
		m.Body = BytesBody([]byte(*p.Body), record.Digest(sum))
	case p.BodyBase64 != nil:
		raw, err := base64.StdEncoding.DecodeString(*p.BodyBase64)
		if err != nil {
			return m, fmt.Errorf("parse exchange: %w", err)
		}
		m.Body = BytesBody(raw, record.Digest(sum))
	default:
		m.Absent, m.Body.Digest = true, record.Digest(sum)
	}
	m.Body.Size, m.Body.Masked, m.Undone = p.Size, p.Masked, p.Undone
	return m, nil
}
