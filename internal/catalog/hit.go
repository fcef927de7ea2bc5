package catalog

import (
	"encoding/json"
	"maps"
	"time"

	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// Hit is a call that a search has found: a record, or one line of a batch of records.
type Hit struct {
	Row
	// Line is the number of the call in a record that holds several; 0 in one that holds one.
	Line int
	// Fields are what the body says of itself, by the names of filter.Fields: text, numbers, lists of texts; times in RFC 3339.
	Fields map[string]any
	// Unread says why there is none: only Follow tells of seqs that it passes over, by the first of them.
	Unread string
	// Sent is what the sender and the door said of the record, in that order: only an Export that asks for it tells.
	Sent record.Attrs
}

// hitOf makes a hit of a row.
func (s states) hitOf(r *filter.Row) Hit {
	h := Hit{Row: s.row(r.Info, r.State), Line: r.Line, Fields: map[string]any{}}
	for name, v := range r.Fields.All() {
		if t, ok := v.(time.Time); ok {
			v = t.Format(time.RFC3339Nano)
		}
		h.Fields[name] = v
	}
	return h
}

// Text is a field as text, "" where there is none.
func (h *Hit) Text(name string) string {
	s, _ := h.Fields[name].(string)
	return s
}

// MarshalJSON is the row's members, the line, and the fields beside them.
func (h Hit) MarshalJSON() ([]byte, error) {
	row, err := json.Marshal(h.Row)
	if err != nil {
		return nil, err
	}
	rest := map[string]any{}
	maps.Copy(rest, h.Fields)
	if h.Line > 0 {
		rest["line"] = h.Line
	}
	if h.Unread != "" {
		rest["unread"] = h.Unread
	}
	if len(h.Sent) > 0 {
		sent := make([][2][]byte, len(h.Sent)) // exact, whatever bytes they are
		for i, a := range h.Sent {
			sent[i] = [2][]byte{[]byte(a.Name), []byte(a.Value)}
		}
		rest["sent"] = sent
	}
	if len(rest) == 0 {
		return row, nil
	}
	more, err := json.Marshal(rest)
	if err != nil {
		return nil, err
	}
	return append(append(row[:len(row)-1], ','), more[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON wrote; numbers are float64.
func (h *Hit) UnmarshalJSON(b []byte) error {
	if err := json.Unmarshal(b, &h.Row); err != nil {
		return err
	}
	var sent struct {
		Sent [][2][]byte `json:"sent"`
	}
	if err := json.Unmarshal(b, &sent); err != nil {
		return err
	}
	for _, a := range sent.Sent {
		h.Sent = append(h.Sent, record.Attr{Name: string(a[0]), Value: string(a[1])})
	}
	all := map[string]any{}
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if line, ok := all["line"].(float64); ok {
		h.Line = int(line)
	}
	h.Unread, _ = all["unread"].(string)
	h.Fields = map[string]any{}
	for _, f := range filter.Fields() {
		switch f.Name {
		case "seq", "time", "state", "door", "source", "bucket", "key", "size", "sha256":
			continue
		}
		if v, ok := all[f.Name]; ok {
			h.Fields[f.Name] = v
		}
	}
	return nil
}
