package otlp

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Version of the record's body.
const Version = 1

// Record is what becomes of one item. It shares the request's memory.
type Record struct {
	Kind   Kind
	CallID string // the same in all records of a call
	ID     string // of the item: unique, and the same when it is sent again
	Time   time.Time

	// Same is a digest of the response's id with the trace's: a second call with it is part of the first. "" for none.
	Same string
	// First says what a stream of Logfire began with: its two spans have nothing else in common. "" for none. Begins
	// tells the one that began from the one that ended.
	First  string
	Begins bool

	item       *Item
	content    content
	derived    *Derived // nil where the item is Other, else fields
	fields     Derived
	convention string
	problem    error
	masked     []string
	request    []byte // as which the item is kept
}

// Read makes r what an item says. It never fails: what cannot be read is told of in the record. The memory of an earlier item is used again.
func (r *Record) Read(it *Item) {
	r.content.attrs.reset()
	*r = Record{item: it, content: content{attrs: r.content.attrs, events: r.content.events[:0]}, request: r.request[:0]}
	c := &r.content
	r.problem = c.read(it)
	r.Kind = c.classify(it.signal, it.scope)
	r.Time = moment(c.start)
	r.ID = it.id(c)
	r.CallID = r.ID
	if r.problem != nil && r.Kind == Other {
		r.Kind = Part // nobody knows that it is not
	}
	if r.Kind == Other {
		return
	}
	switch {
	case r.Kind == Part && it.signal == Logs && c.ids != "":
		r.CallID = c.ids
	case r.Kind == Part && c.name == rawRequest:
		r.CallID = c.traceID + "-" + c.parentID
	}
	r.convention = c.convention(it.scope)
	r.derived = &r.fields
	c.derive(it.scope, r.derived)
	if c.name == rawRequest {
		r.derived.rawRequest(&c.attrs)
	}
	if r.Kind == Call && c.traceID != "" && r.derived.ResponseID != "" {
		var space [256]byte
		sum := sha256.Sum256(append(append(append(space[:0], c.traceID...), ' '), r.derived.ResponseID...))
		r.Same = string(sum[:16])
	}
	r.first()
}

// Unread says why the item could not be read, or nil.
func (r *Record) Unread() error { return r.problem }

// first finds the two spans that Logfire writes of a streamed call.
func (r *Record) first() {
	c := &r.content
	if r.convention != "logfire" || r.item.signal != Traces {
		return
	}
	r.Begins = r.Kind == Part
	if d := r.derived; d.ResponseID == "" && len(d.Output) == 0 && d.TokensIn == nil {
		d.ServedModel = "" // Logfire has the model that was asked for there
	}
	if r.Begins {
		r.derived.Status = "" // nobody knows yet
	}
	if !r.Begins && c.attrs.get("logfire.span_type").text != "log" {
		return
	}
	h := sha256.New()
	for _, s := range [...]string{r.derived.Service, r.derived.Model, c.attrs.get("code.lineno").string(), c.attrs.get("gen_ai.input.messages", "request_data").string()} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	r.First = string(h.Sum(nil)[:16])
}

// id is "<trace>-<span>" of a span, the same and a digest of a log record, and a digest where there is no span id.
func (it *Item) id(c *content) string {
	if it.signal == Traces && c.ids != "" {
		return c.ids
	}
	sum := sha256.Sum256(it.raw)
	digest := hex.EncodeToString(sum[:16])
	if c.ids != "" {
		return c.ids + "-" + digest[:8]
	}
	return digest
}

// LinkTo makes the record part of a call that another record is about, or gives both the same CallID.
func (r *Record) LinkTo(callID string, kind Kind) { r.CallID, r.Kind = callID, kind }

// AppendBody appends the record's body, one line of JSON.
func (r *Record) AppendBody(dst []byte) []byte {
	it, c := r.item, &r.content
	raw, outer, inner := r.mask() // before anything of the item is written
	dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(it.Size())+len(c.message)+2048)
	o := object{append(dst, `{"v":1`...)}
	o.text("kind", string(r.Kind))
	o.text("call_id", r.CallID)
	if r.derived != nil {
		o.text("id", r.derived.ResponseID)
	}
	o.text("trace_id", c.traceID)
	o.text("signal", string(it.signal))
	o.text("convention", r.convention)
	o.text("name", c.name)
	o.text("span_id", c.spanID)
	o.time("start", r.Time)
	o.time("end", moment(c.end))
	if r.problem != nil {
		o.text("unread", r.problem.Error())
	}
	lost := c.dropped
	lost.around = it.scope.dropped
	lost.append(&o)
	o.list("masked", r.masked)
	o.text("content_type", it.encoding.ContentType())
	if it.encoding == JSON {
		o.name("otlp")
		o.b = it.appendJSON(o.b, raw, outer, inner)
	} else {
		o.name("otlp_base64")
		o.b = append(o.b, '"')
		r.request = appendRequest(r.request[:0], raw, outer, inner)
		o.b = appendBase64(o.b, r.request)
		o.b = append(o.b, '"')
	}
	if r.derived != nil {
		o.name("derived")
		o.b = r.derived.append(o.b, r.Kind)
	}
	return append(o.b, "}\n"...)
}

// appendRequest appends an export request that holds nothing but one item: what stood around it, and itself, as they came.
func appendRequest(b, raw, outer, inner []byte) []byte {
	scopeLen := len(inner) + protowire.SizeTag(numItems) + protowire.SizeBytes(len(raw))
	groupLen := len(outer) + protowire.SizeTag(numScopes) + protowire.SizeBytes(scopeLen)
	b = slices.Grow(b, groupLen+16)
	b = protowire.AppendTag(b, numGroups, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(groupLen))
	b = append(b, outer...)
	b = protowire.AppendTag(b, numScopes, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(scopeLen))
	b = append(b, inner...)
	b = protowire.AppendTag(b, numItems, protowire.BytesType)
	return protowire.AppendBytes(b, raw)
}

// appendJSON is appendRequest for OTLP/JSON.
func (it *Item) appendJSON(dst, raw, outer, inner []byte) []byte {
	groups, scopes, items := it.signal.names()
	member := func(name string, before []byte) {
		dst = append(dst, '{')
		if len(before) > 0 {
			dst = append(append(dst, before...), ',')
		}
		dst = append(append(append(dst, '"'), name...), `":[`...)
	}
	member(groups, nil)
	member(scopes, outer)
	member(items, inner)
	return append(append(dst, raw...), "]}]}]}"...)
}

// append appends the derived fields. Only the call has its usage: the parts of a call say the same again.
func (d *Derived) append(dst []byte, kind Kind) []byte {
	o := object{append(dst, `{"extractor":1`...)}
	o.text("service", d.Service)
	o.text("scope", d.Scope)
	o.text("provider", d.Provider)
	o.text("call_type", d.Operation)
	o.text("api_base", d.APIBase)
	o.text("model", d.Model)
	o.text("served_model", d.ServedModel)
	o.bool("stream", d.Stream)
	o.text("parent_id", d.ParentID)
	o.text("session_id", d.Session)
	o.text("user", d.User)
	o.text("end_user", d.EndUser)
	o.text("team_alias", d.Team)
	o.text("team_id", d.TeamID)
	o.text("key_alias", d.KeyAlias)
	o.text("key_hash", d.KeyHash)
	o.text("status", d.Status)
	if len(d.FinishReasons) > 0 {
		o.text("finish_reason", d.FinishReasons[0])
		o.list("finish_reasons", d.FinishReasons)
	}
	o.text("error_class", d.ErrorClass)
	o.text("error_code", d.ErrorCode)
	o.text("error_message", d.ErrorMessage)
	o.time("first_token", d.FirstToken)
	if kind == Call {
		o.count("tokens_in", d.TokensIn)
		o.count("tokens_out", d.TokensOut)
		o.count("tokens_cached", d.TokensCached)
		o.count("tokens_reasoning", d.TokensReasoning)
		o.amount("cost", d.Cost)
	}
	o.list("tags", d.Tags)
	o.raw("input", d.Input)
	o.raw("output", d.Output)
	o.list("cut", d.Cut)
	return append(o.b, '}')
}
