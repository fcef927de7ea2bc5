package crosscheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"indelible/internal/capture"
	"indelible/internal/fields"
	"indelible/internal/record"
)

// Add takes the body of a record. What is neither an exchange nor a record of LiteLLM's is counted.
func (c *Check) Add(seq record.Seq, door string, body []byte) error {
	if len(c.wire)+len(c.own) >= maxCalls {
		return ErrTooMany
	}
	if door == "proxy" || door == "lib" {
		if e, d, err := capture.Parse(body); err == nil {
			c.addExchange(seq, e, d)
			return nil
		}
	}
	if !c.addOwn(seq, body) {
		c.notes++
	}
	return nil
}

// asksNoModel says that an exchange is no call of a model, but a question about what there is: LiteLLM asks
// for the list of models as it starts.
func asksNoModel(e *capture.Exchange) bool {
	return e.Method != "POST" && !slices.ContainsFunc(e.Request.Headers, func(f capture.Field) bool { return f.Name == "upgrade" })
}

// addExchange takes an open or a close record.
func (c *Check) addExchange(seq record.Seq, e *capture.Exchange, d *capture.Derived) {
	if asksNoModel(e) {
		c.notes++
		return
	}
	w := c.byID[e.ID]
	if w == nil {
		if c.byID == nil {
			c.byID = map[string]*wireCall{}
		}
		w = &wireCall{id: e.ID, start: e.Start, url: e.URL}
		c.byID[e.ID] = w
		c.wire = append(c.wire, w)
	}
	w.seq = seq
	if !e.Request.Absent {
		w.asked = fingerprint(lastText(e.Request.Body.Bytes))
	}
	if d != nil && w.model == "" {
		w.model = d.RequestedModel
	}
	if e.Kind == capture.Open || w.ended == string(capture.Complete) { // one that is complete counts before one of unknown end
		return
	}
	w.http, w.ended = e.Status, string(e.Transport)
	for _, h := range e.Response.Headers {
		if h.Name == "x-litellm-call-id" {
			w.litellmID = h.Value
		}
	}
	if d == nil {
		return
	}
	w.status, w.responseID, w.served, w.finish = d.Status, d.ResponseID, d.ServedModel, d.FinishReason
	w.text = len(d.Text)
	if d.Tokens != nil {
		w.in, w.out = &d.Tokens.Input, &d.Tokens.Output
	}
}

// addOwn takes one of LiteLLM's records, or several in one body.
func (c *Check) addOwn(seq record.Seq, body []byte) (any bool) {
	if !bytes.Contains(body, []byte(`"litellm_call_id"`)) && !bytes.Contains(body, []byte(`"custom_llm_provider"`)) {
		return false
	}
	n := 0
	for f := range fields.Each(body) {
		if n++; f.Status == nil || f.Start == nil {
			continue
		}
		o := &ownCall{seq: seq, id: text(f.ID), callID: text(f.CallID), start: *f.Start, end: *f.Start, status: text(f.Status),
			served: text(f.ServedModel), finish: text(f.FinishReason), in: f.TokensIn, out: f.TokensOut}
		if f.End != nil {
			o.end = *f.End
		}
		c.own, any = append(c.own, o), true
	}
	if n == 1 && any { // of several in one body only ids are looked at
		o := c.own[len(c.own)-1]
		o.asked, o.empty = fingerprint(lastText(body)), noResponse(body)
	}
	return any
}

// noResponse says whether a record of LiteLLM's holds no answer: {}, null or an empty text.
func noResponse(body []byte) bool {
	var doc struct {
		Response json.RawMessage `json:"response"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return false
	}
	return len(bytes.Trim(doc.Response, " \t\r\n{}[]\"")) == 0 || string(doc.Response) == "null"
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// fingerprint stands for a text.
func fingerprint(s string) string {
	if s == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(s))
	return string(sum[:16])
}

// lastText is the text that was asked last, in the forms of all providers: LiteLLM hands a
// request on in the provider's, and records its own.
func lastText(body []byte) (last string) {
	var doc map[string]any
	if json.Unmarshal(body, &doc) != nil {
		return ""
	}
	for _, name := range []string{"messages", "contents", "input", "prompt"} {
		if v, ok := doc[name]; ok && v != nil {
			if s := textOf(v, 0); s != "" {
				return s
			}
		}
	}
	return ""
}

// textOf is the last text in a value.
func textOf(v any, depth int) (last string) {
	if depth > 16 {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		for _, e := range v {
			if s := textOf(e, depth+1); s != "" {
				last = s
			}
		}
	case map[string]any:
		for _, name := range []string{"content", "parts", "text", "input_text"} {
			if e, ok := v[name]; ok {
				if s := textOf(e, depth+1); s != "" {
					return s
				}
			}
		}
	}
	return last
}
