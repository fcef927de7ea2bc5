// Package crosscheck compares the calls that the recording proxy or the Transport
// saw on the wire with LiteLLM's own records of them: which calls LiteLLM has no record of,
// and where the two disagree. It does no I/O: its caller brings the records, in the order of their seqs.
package crosscheck

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"indelible/internal/record"
)

// maxCalls bounds what is compared at once: a call takes about half a kilobyte.
const maxCalls = 1 << 20

// ErrTooMany says that there are more calls than are held at once.
var ErrTooMany = errors.New("more than 1,048,576 calls: narrow the span with --since and --until")

// Check compares. The zero value is ready; it is not safe for concurrent use.
type Check struct {
	wire  []*wireCall
	byID  map[string]*wireCall // by call_id
	own   []*ownCall
	notes int64 // records that are neither calls of a model nor LiteLLM's
}

// wireCall is one exchange, of its open and its close record.
type wireCall struct {
	id, url       string
	seq           record.Seq // of its last record
	start         time.Time
	litellmID     string // x-litellm-call-id of the answer: the upstream is LiteLLM
	responseID    string
	status, ended string // "": there is no close record
	http          int
	model, served string
	finish        string
	in, out       *int64
	text          int    // bytes of text that came
	asked         string // the text asked last, as lastText has it
	match         *ownCall
}

// ownCall is one record of LiteLLM's.
type ownCall struct {
	seq        record.Seq
	id, callID string
	start, end time.Time
	status     string
	served     string
	finish     string
	in, out    *int64
	empty      bool // no answer is in it
	asked      string
	seen       bool // a wire call was found for it
}

// Result is what was found.
type Result struct {
	Wire     int        `json:"wire"`    // calls that the wire saw
	LiteLLM  int        `json:"litellm"` // records of LiteLLM
	Matched  int        `json:"matched"` // wire calls of which LiteLLM has a record
	Lost     int        `json:"missing_count"`
	Missing  []Missing  `json:"missing"` // wire calls of which it has none, the first of
	Disagree int        `json:"disagree_count"`
	Differ   []Disagree `json:"disagree"` // the first of
	Models   int        `json:"other_model_count"`
	Unseen   int        `json:"unseen_count"`  // records of LiteLLM without a wire call: from its cache, mocked, or past the proxy
	Others   int64      `json:"other_records"` // neither calls of a model nor LiteLLM's
}

// OK says that LiteLLM has a record of every call, which says what the wire saw. A model under
// another name alone is no disagreement: LiteLLM's records have the alias.
func (r *Result) OK() bool { return r.Lost == 0 && r.Disagree == 0 }

// Missing is a call of which LiteLLM has no record.
type Missing struct {
	CallID string     `json:"call_id"`
	Seq    record.Seq `json:"seq"`
	Time   time.Time  `json:"time"`
	URL    string     `json:"url"`
	HTTP   int        `json:"http_status,omitempty"`
	Ended  string     `json:"ended_by"` // "outcome unknown" where there is only an open record
	Model  string     `json:"model,omitempty"`
}

// Disagree is a call on which the two say different things.
type Disagree struct {
	CallID  string     `json:"call_id"`
	Seq     record.Seq `json:"seq"`
	LiteLLM record.Seq `json:"litellm_seq"`
	ID      string     `json:"id"` // of LiteLLM's record
	Model   string     `json:"model,omitempty"`
	Time    time.Time  `json:"time"`
	Fields  []Field    `json:"fields"`
}

// Field is what each says; "" is nothing.
type Field struct {
	Name    string `json:"field"`
	Wire    string `json:"wire"`
	LiteLLM string `json:"litellm"`
}

// listed bounds the lists of a Result.
const listed = 1000

// Result compares what was added.
func (c *Check) Result() Result {
	c.match()
	r := Result{Missing: []Missing{}, Differ: []Disagree{}, Wire: len(c.wire), LiteLLM: len(c.own), Others: c.notes}
	last := map[*ownCall]*wireCall{} // of several attempts the last one counts
	for _, w := range c.wire {
		if w.match == nil {
			r.Lost++
			if len(r.Missing) < listed {
				r.Missing = append(r.Missing, w.missing())
			}
			continue
		}
		r.Matched++
		if before := last[w.match]; before == nil || w.start.After(before.start) {
			last[w.match] = w
		}
	}
	for _, w := range c.wire {
		if w.match == nil || last[w.match] != w {
			continue
		}
		fields := w.differ(w.match)
		if len(fields) == 0 {
			continue
		}
		if len(fields) == 1 && fields[0].Name == "served_model" {
			r.Models++
		} else {
			r.Disagree++
		}
		if len(r.Differ) < listed {
			r.Differ = append(r.Differ, Disagree{CallID: w.id, Seq: w.seq, LiteLLM: w.match.seq, ID: w.match.id, Model: w.model, Time: w.start, Fields: fields})
		}
	}
	for _, o := range c.own {
		if !o.seen {
			r.Unseen++
		}
	}
	return r
}

func (w *wireCall) missing() Missing {
	m := Missing{CallID: w.id, Seq: w.seq, Time: w.start, URL: w.url, HTTP: w.http, Ended: w.ended, Model: w.model}
	if w.status == "" {
		m.Ended = "outcome unknown"
	}
	return m
}

// differ names the fields on which the two disagree.
func (w *wireCall) differ(o *ownCall) (fields []Field) {
	add := func(name, wire, own string) {
		if wire != own {
			fields = append(fields, Field{name, wire, own})
		}
	}
	if w.status == "" {
		add("status", "outcome unknown", o.status)
		return fields
	}
	wire := w.status
	if w.status != o.status && w.ended != "complete" {
		wire += " (" + w.ended + ")"
	}
	add("status", wire, o.status)
	if w.served != "" && o.served != "" {
		add("served_model", w.served, o.served)
	}
	if a, b := plainReason(w.finish), plainReason(o.finish); a != b && o.status == "success" {
		add("finish_reason", w.finish, o.finish)
	}
	if o.status == "success" || w.status == "success" {
		add("tokens_in", number(w.in), number(o.in))
		add("tokens_out", number(w.out), number(o.out))
	}
	if w.text > 0 && o.empty {
		add("text", strconv.Itoa(w.text)+" bytes", "")
	}
	return fields
}

// number is a count as text; LiteLLM writes 0 where it has none.
func number(n *int64) string {
	if n == nil || *n == 0 {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// plainReason brings the providers' words for why a model stopped to OpenAI's, as LiteLLM does.
func plainReason(s string) string {
	switch strings.ToLower(s) {
	case "end_turn", "stop_sequence", "complete", "completed", "stop":
		return "stop"
	case "max_tokens", "length", "max_output_tokens":
		return "length"
	case "tool_use", "tool_call", "tool_calls", "function_call":
		return "tool_calls"
	}
	return strings.ToLower(s)
}

// slack is how far a wire call may lie outside of the span that LiteLLM's record of it has: clocks of two hosts.
const slack = 2 * time.Second

// match finds the record of each wire call: by LiteLLM's call id in the answer's headers, by the provider's id, and
// else by the text that was asked last, within the time that the record spans.
func (c *Check) match() {
	byCall, byID, byAsked := map[string]*ownCall{}, map[string]*ownCall{}, map[string][]*ownCall{}
	for _, o := range c.own {
		if o.callID != "" {
			byCall[o.callID] = o
		}
		if o.id != "" {
			byID[o.id] = o
		}
		if o.asked != "" {
			byAsked[o.asked] = append(byAsked[o.asked], o)
		}
	}
	find := func(w *wireCall) *ownCall {
		if o := byCall[w.litellmID]; w.litellmID != "" {
			return o // LiteLLM's own answer names its record: no other is it
		}
		if o := byID[w.responseID]; w.responseID != "" && o != nil {
			return o
		}
		return nil
	}
	slices.SortStableFunc(c.wire, func(a, b *wireCall) int { return a.start.Compare(b.start) })
	for _, w := range c.wire {
		if w.match = find(w); w.match != nil {
			w.match.seen = true
		}
	}
	taken := map[*ownCall]bool{} // by a call that named it
	for _, w := range c.wire {
		if w.match != nil && w.litellmID == "" {
			taken[w.match] = true
		}
	}
	for _, w := range c.wire {
		if w.match != nil || w.asked == "" || w.litellmID != "" {
			continue
		}
		w.match = nearest(w, byAsked[w.asked], taken)
		if w.match != nil {
			w.match.seen = true
			if w.status == "success" || w.http == 0 || w.http < 400 {
				taken[w.match] = true // no further attempt follows
			}
		}
	}
}

// nearest is the record that spans a wire call and begins nearest before it.
func nearest(w *wireCall, list []*ownCall, taken map[*ownCall]bool) (best *ownCall) {
	for _, o := range list {
		if taken[o] || w.start.Before(o.start.Add(-slack)) || w.start.After(o.end.Add(slack)) {
			continue
		}
		if best == nil || w.start.Sub(o.start).Abs() < w.start.Sub(best.start).Abs() {
			best = o
		}
	}
	return best
}

// String is for people: one line.
func (f Field) String() string {
	show := func(s string) string {
		if s == "" {
			return "none"
		}
		return s
	}
	return fmt.Sprintf("%s: wire %s, LiteLLM %s", f.Name, show(f.Wire), show(f.LiteLLM))
}
