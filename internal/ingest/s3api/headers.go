package s3api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"indelible/internal/layout"
	"indelible/internal/record"
)

// Stores take some 2 KiB of headers with an object and as much of metadata,
// ours included, and refuse the object with more. A record whose sender gave it
// more keeps, under its own key, what fits; all of it is in a record of its own
// that is durable first and whose key follows from the record's. A flag on the
// record says so, and GET and HEAD put both together again.
const (
	maxHeaders = 1900 // bytes of names and values of headers that go with an object
	maxMeta    = 1400 // the same of metadata: the rest is for what layout adds

	flagHeaders = "headers:" // with the first digits of the SHA-256 of what was sent
)

// sentHeaders is the body of the record that holds headers.
type sentHeaders struct {
	Headers []sentHeader `json:"headers"`
}

type sentHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value_base64"` // headers can hold any bytes
}

// headersKey is the key of the record with the headers of the record under key.
func headersKey(key, flag string) string {
	return key + ".headers-" + strings.TrimPrefix(flag, flagHeaders) + ".json"
}

// fits reports whether a store takes the attributes of a record as they are.
func fits(attrs record.Attrs) bool {
	size := 0
	for _, a := range attrs {
		size += len(a.Name) + 3*len(a.Value) + 16 // encoded, at the worst
	}
	if size <= maxMeta {
		return true
	}
	obj := layout.Objects{}.Object(record.Info{Attrs: attrs}, "", "")
	headers, meta := 0, 0
	for name, value := range obj.Header {
		headers += len(name) + len(value)
	}
	for name, value := range obj.Meta {
		meta += len(name) + len(value)
	}
	return headers <= maxHeaders && meta <= maxMeta
}

// keepHeaders makes the headers of q durable where they are too many for a
// store, and returns those that stay with the record itself.
func (d *Door) keepHeaders(ctx context.Context, q *request, attrs record.Attrs) (record.Attrs, error) {
	if fits(attrs) {
		return attrs, nil
	}
	var all sentHeaders
	for _, a := range attrs {
		all.Headers = append(all.Headers, sentHeader{a.Name, []byte(a.Value)})
	}
	doc, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(doc)
	flag := flagHeaders + hex.EncodeToString(sum[:8])
	key := headersKey(q.key, flag)
	if len(key) > record.MaxKey {
		return nil, refuse(400, "KeyTooLongError", "Your key is too long")
	}
	_, err = d.spool.Append(ctx, record.Record{
		Door: "s3", Source: d.source(q), Bucket: q.bucket, Key: key,
		Attrs: record.Attrs{{Name: "content-type", Value: "application/json"}},
		Body:  bytes.NewReader(doc), Size: int64(len(doc)),
	})
	if err != nil {
		return nil, fmt.Errorf("keep headers: %w", err)
	}
	kept := slices.Clone(attrs)
	for len(kept) > 0 && !fits(kept) { // the longest go first
		longest := 0
		for i, a := range kept {
			if len(a.Value) > len(kept[longest].Value) {
				longest = i
			}
		}
		kept = slices.Delete(kept, longest, longest+1)
	}
	return append(kept, record.Attr{Name: record.AttrFlag, Value: flag}), nil
}

// sentAttrs are the attributes of a record as its sender gave them.
func (d *Door) sentAttrs(ctx context.Context, q *request, info *record.Info) (record.Attrs, error) {
	flag := info.Attrs.Get(record.AttrFlag)
	if info.Door != "s3" || !strings.HasPrefix(flag, flagHeaders) {
		return info.Attrs, nil
	}
	key := info.Key
	if key == "" {
		key = q.key
	}
	entry, found, err := d.records.Find(ctx, q.bucket, headersKey(key, flag))
	if err != nil {
		return nil, err
	}
	if !found {
		return info.Attrs, nil // the bucket's retention may have taken it
	}
	content, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	doc, err := io.ReadAll(io.LimitReader(content, 4*record.MaxAttrs))
	if err != nil {
		return nil, err
	}
	var all sentHeaders
	if err := json.Unmarshal(doc, &all); err != nil {
		return nil, fmt.Errorf("read headers: %w", err)
	}
	var attrs record.Attrs
	for _, h := range all.Headers {
		attrs = append(attrs, record.Attr{Name: h.Name, Value: string(h.Value)})
	}
	for _, a := range info.Attrs {
		if a.Name[0] == ':' {
			attrs = append(attrs, a)
		}
	}
	return attrs, nil
}
