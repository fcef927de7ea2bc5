package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"indelible/internal/store"
)

const (
	maxBody   = 64 << 20  // how long a record may be to be read for its ids
	maxBodies = 256 << 20 // bytes of records that are read for their ids at a time
)

// idsInside reads a record and returns the ids in it, a group for each JSON
// value: a batch has one a line. The bytes are compared with the leaf first.
func (c *reconciling) idsInside(ctx context.Context, l *Leaf) ([][]string, error) {
	if l.Kind != Record || l.Size > maxBody {
		return nil, errors.New("not stored, or too large")
	}
	key := l.Key
	if rest, ok := strings.CutPrefix(key, c.prefix); c.prefixed && ok {
		key = c.base + rest
	}
	if err := c.bodies.Acquire(ctx, l.Size); err != nil {
		return nil, err
	}
	defer c.bodies.Release(l.Size)
	body, _, err := c.store.Get(ctx, key, store.GetOptions{Version: l.VersionID})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var b bytes.Buffer
	b.Grow(int(l.Size) + bytes.MinRead)
	size, sum, err := digestOf(io.TeeReader(io.LimitReader(body, l.Size+1), &b))
	if err == nil && (size != l.Size || sum != l.Digest) {
		err = fmt.Errorf("record %d was changed: run verify", l.Seq)
	}
	if err != nil {
		return nil, err
	}
	return bodyIDs(b.Bytes()), nil
}

// bodyFields are the members of a record that hold an id.
type bodyFields struct {
	ID        any `json:"id"`
	RequestID any `json:"request_id"`
	CallID    any `json:"call_id"`
	LiteLLM   any `json:"litellm_call_id"`
	TraceID   any `json:"trace_id"`
}

func (f *bodyFields) ids() []string {
	var ids []string
	for _, v := range []any{f.ID, f.RequestID, f.CallID, f.LiteLLM, f.TraceID} {
		if s, ok := v.(string); ok && s != "" {
			ids = append(ids, s)
		}
	}
	return ids
}

// bodyIDs are the ids in the JSON values of a body, one after the other, also of
// JSON that strict parsers refuse.
func bodyIDs(body []byte) [][]string {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	body = bytes.ReplaceAll(body, []byte{0x1e}, nil) // RFC 7464
	var groups [][]string
	values := json.NewDecoder(bytes.NewReader(body))
	for {
		at := values.InputOffset()
		var raw json.RawMessage
		if err := values.Decode(&raw); err == io.EOF {
			return groups
		} else if err != nil {
			return append(groups, looseIDs(body[at:])...)
		}
		groups = append(groups, valueIDs(raw)...)
	}
}

// valueIDs are those of one value: of each element, where it is an array.
func valueIDs(raw json.RawMessage) [][]string {
	if len(raw) > 0 && raw[0] == '[' {
		var list []bodyFields
		_ = json.Unmarshal(raw, &list) // elements that are no objects have no ids
		var groups [][]string
		for i := range list {
			groups = append(groups, list[i].ids())
		}
		return groups
	}
	var f bodyFields
	if json.Unmarshal(raw, &f) != nil {
		return nil
	}
	return [][]string{f.ids()}
}

// looseID finds an id in what is no strict JSON, such as a value with NaN in it.
var looseID = regexp.MustCompile(`"(?:id|request_id|call_id|litellm_call_id|trace_id)"\s*:\s*"((?:[^"\\]|\\.)*)"`)

// looseIDs takes each line as a value.
func looseIDs(body []byte) [][]string {
	var groups [][]string
	for line := range bytes.Lines(body) {
		var ids []string
		for _, m := range looseID.FindAllSubmatch(line, -1) {
			var s string
			if json.Unmarshal(append(append([]byte{'"'}, m[1]...), '"'), &s) == nil {
				ids = append(ids, s)
			}
		}
		groups = append(groups, ids)
	}
	return groups
}
