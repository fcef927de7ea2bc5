package pack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"indelible/internal/fields"
	"indelible/internal/record"
)

// extra is the column of that name: JSON text, absent where there is nothing to say.
// What columns of text cannot hold exactly, because it is no UTF-8, stands here in
// base64; the column holds it with U+FFFD in place of what is none.
type extra struct {
	Object        string `json:"object,omitempty"`
	ObjectVersion string `json:"object_version,omitempty"`
	Records       int    `json:"records,omitempty"` // if the body holds more than one

	Door    []byte      `json:"door_base64,omitempty"`
	Source  []byte      `json:"source_base64,omitempty"`
	Bucket  []byte      `json:"bucket_base64,omitempty"`
	Key     []byte      `json:"key_base64,omitempty"`
	SentKey []byte      `json:"sent_key_base64,omitempty"`
	Headers [][2][]byte `json:"headers_base64,omitempty"` // name and value; also where a name stands twice
}

// set fills c, whose other members are zero, with the row.
func (c *columns) set(log string, r *Row) error {
	info := &r.Info
	if info.Seq == 0 || info.Seq > math.MaxInt64 {
		return fmt.Errorf("seq %d is out of range", info.Seq)
	}
	ns := info.Time.UnixNano()
	if !time.Unix(0, ns).Equal(info.Time) {
		return fmt.Errorf("time %v is out of range", info.Time)
	}
	var x extra
	x.Object, x.ObjectVersion = r.Object, r.ObjectVersion
	if r.Records > 1 {
		x.Records = r.Records
	}
	c.Log, c.Seq, c.Time, c.TimeNS = log, int64(info.Seq), info.Time.UTC(), ns
	c.Door, c.Source, c.Bucket = exact(info.Door, &x.Door), exact(info.Source, &x.Source), exact(info.Bucket, &x.Bucket)
	c.Key = exact(r.Key, &x.Key)
	if info.Key != r.Key {
		sent := exact(info.Key, &x.SentKey)
		c.SentKey = &sent
	}
	c.Size = info.Size
	c.SHA256, c.AttrsSHA256 = info.Digest.String(), r.Attrs.String()
	c.setHeaders(info.Attrs, &x)
	c.setFields(&r.Fields)
	if text, err := x.encode(); err != nil {
		return err
	} else if text != "" {
		c.Extra = &text
	}
	if r.Object == "" {
		c.Body = r.Body
	}
	return nil
}

// exact is s for a column of text; what it loses is kept in rest.
func exact(s string, rest *[]byte) string {
	if utf8.ValidString(s) {
		return s
	}
	*rest = []byte(s)
	return strings.ToValidUTF8(s, "\ufffd")
}

func (x *extra) encode() (string, error) {
	b, err := json.Marshal(x)
	if err != nil || len(b) == len("{}") {
		return "", err
	}
	return string(b), nil
}

// setHeaders writes the attributes as one JSON object, in their order.
func (c *columns) setHeaders(attrs record.Attrs, x *extra) {
	if len(attrs) == 0 {
		return
	}
	same := true // says that the object holds the list exactly
	b := append(make([]byte, 0, 256), '{')
	for i, at := range attrs {
		for _, before := range attrs[:i] {
			same = same && before.Name != at.Name
		}
		same = same && utf8.ValidString(at.Name) && utf8.ValidString(at.Value)
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSON(b, at.Name), ':')
		b = appendJSON(b, at.Value)
		if at.Name == "content-type" && c.ContentType == nil {
			text := strings.ToValidUTF8(at.Value, "\ufffd")
			c.ContentType = &text
		}
	}
	text := string(append(b, '}'))
	c.Headers = &text
	if !same {
		for _, at := range attrs {
			x.Headers = append(x.Headers, [2][]byte{[]byte(at.Name), []byte(at.Value)})
		}
	}
}

// appendJSON appends s as a JSON string.
func appendJSON(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has a form
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func (c *columns) setFields(f *fields.Fields) {
	c.ID, c.CallID, c.TraceID, c.ParentID = f.ID, f.CallID, f.TraceID, f.ParentID
	c.Provider, c.Model, c.ServedModel, c.ModelGroup, c.APIBase, c.CallType, c.Stream = f.Provider, f.Model, f.ServedModel, f.ModelGroup, f.APIBase, f.CallType, f.Stream
	c.Status, c.ErrorCode, c.ErrorClass, c.ErrorMessage, c.FinishReason, c.EndedBy = f.Status, f.ErrorCode, f.ErrorClass, f.ErrorMessage, f.FinishReason, f.EndedBy
	c.Start, c.End, c.FirstToken = f.Start, f.End, f.FirstToken
	c.Team, c.TeamID, c.KeyAlias, c.KeyHash, c.User, c.EndUser, c.UserAgent = f.Team, f.TeamID, f.KeyAlias, f.KeyHash, f.User, f.EndUser, f.UserAgent
	c.TokensIn, c.TokensOut, c.TokensCached, c.TokensReasoning, c.Cost, c.Tags = f.TokensIn, f.TokensOut, f.TokensCached, f.TokensReasoning, f.Cost, f.Tags
}

// row is the inverse of set. Its error says what in the columns contradicts itself.
func (c *columns) row() (Row, error) {
	var x extra
	if c.Extra != nil { // few rows have it
		var says extra
		if err := json.Unmarshal([]byte(*c.Extra), &says); err != nil {
			return Row{}, fmt.Errorf("extra: %w", err)
		}
		x = says
	}
	r := Row{
		Info: record.Info{
			Seq: record.Seq(c.Seq), Time: time.Unix(0, c.TimeNS).UTC(),
			Door: inexact(c.Door, x.Door), Source: inexact(c.Source, x.Source), Bucket: inexact(c.Bucket, x.Bucket),
			Size: c.Size,
		},
		Key: inexact(c.Key, x.Key), Object: x.Object, ObjectVersion: x.ObjectVersion, Body: c.Body,
	}
	r.Info.Key = r.Key
	if c.SentKey != nil {
		r.Info.Key = inexact(*c.SentKey, x.SentKey)
	}
	if err := errors.Join(unhex(&r.Info.Digest, c.SHA256), unhex(&r.Attrs, c.AttrsSHA256)); err != nil {
		return Row{}, err
	}
	if c.Seq <= 0 || c.Size < 0 {
		return Row{}, fmt.Errorf("seq %d, size %d", c.Seq, c.Size)
	}
	var err error
	if r.Info.Attrs, err = c.attrs(&x); err != nil {
		return Row{}, err
	}
	r.Fields = c.fields()
	r.Records = x.Records
	return r, nil
}

// part is row of what is there, where some columns were not read.
func (c *columns) part() Row {
	r := Row{
		Info:   record.Info{Seq: record.Seq(c.Seq), Time: time.Unix(0, c.TimeNS).UTC(), Door: c.Door, Source: c.Source, Bucket: c.Bucket, Key: c.Key, Size: c.Size},
		Key:    c.Key,
		Fields: c.fields(),
	}
	if c.SentKey != nil {
		r.Info.Key = *c.SentKey
	}
	return r
}

func inexact(s string, rest []byte) string {
	if rest != nil {
		return string(rest)
	}
	return s
}

func unhex(d *record.Digest, s string) error {
	if len(s) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("%.80q is no SHA-256 in hex", s)
	}
	_, err := hex.Decode(d[:], []byte(s))
	return err
}

// attrs is the inverse of setHeaders.
func (c *columns) attrs(x *extra) (attrs record.Attrs, err error) {
	for _, h := range x.Headers {
		attrs = append(attrs, record.Attr{Name: string(h[0]), Value: string(h[1])})
	}
	if attrs != nil || c.Headers == nil {
		return attrs, nil
	}
	// A map would lose the order.
	tokens := json.NewDecoder(bytes.NewReader([]byte(*c.Headers)))
	if open, err := tokens.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("headers: %.80q is no JSON object", *c.Headers)
	}
	for tokens.More() {
		name, err1 := tokens.Token()
		value, err2 := tokens.Token()
		n, ok1 := name.(string)
		v, ok2 := value.(string)
		if err := errors.Join(err1, err2); err != nil || !ok1 || !ok2 {
			return nil, fmt.Errorf("headers: %.80q: %v", *c.Headers, err)
		}
		attrs = append(attrs, record.Attr{Name: n, Value: v})
	}
	return attrs, nil
}

func (c *columns) fields() fields.Fields {
	return fields.Fields{
		ID: c.ID, CallID: c.CallID, TraceID: c.TraceID, ParentID: c.ParentID,
		Provider: c.Provider, Model: c.Model, ServedModel: c.ServedModel, ModelGroup: c.ModelGroup, APIBase: c.APIBase, CallType: c.CallType, Stream: c.Stream,
		Status: c.Status, ErrorCode: c.ErrorCode, ErrorClass: c.ErrorClass, ErrorMessage: c.ErrorMessage, FinishReason: c.FinishReason, EndedBy: c.EndedBy,
		Start: c.Start, End: c.End, FirstToken: c.FirstToken,
		Team: c.Team, TeamID: c.TeamID, KeyAlias: c.KeyAlias, KeyHash: c.KeyHash, User: c.User, EndUser: c.EndUser, UserAgent: c.UserAgent,
		TokensIn: c.TokensIn, TokensOut: c.TokensOut, TokensCached: c.TokensCached, TokensReasoning: c.TokensReasoning, Cost: c.Cost, Tags: c.Tags,
	}
}
