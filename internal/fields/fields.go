// Package fields reads what people filter by (ids, model, team, tokens, cost,
// times) out of a record's body, without changing it. It knows LiteLLM's
// StandardLoggingPayload in its versions, and takes what other JSON calls by the same
// or a usual name. What it does not find, or cannot read, is left out: a body is never refused.
package fields

import (
	"bytes"
	"iter"
	"time"
)

// Bounds of what is read.
const (
	// MaxBody is the longest body that is looked into, in bytes; a longer one has no fields.
	MaxBody = 32 << 20
	// MaxText is the longest text, in bytes. A longer one is cut before a character; a longer
	// id or hash is left out, because a cut one would be another's.
	MaxText = 4096
	// MaxTags is how many tags are kept.
	MaxTags = 64
)

// Fields is what a body says of itself. A nil pointer says that it does not.
// Every text is valid UTF-8, at most MaxText bytes long and never empty. It
// shares no memory with the body.
type Fields struct {
	ID       *string // the record's own id; LiteLLM: the provider's on success, the call id on failure
	CallID   *string // litellm_call_id, or the call id by another name
	TraceID  *string
	ParentID *string

	Provider    *string
	Model       *string // as asked for
	ServedModel *string // as the provider names the one that answered
	ModelGroup  *string
	APIBase     *string
	CallType    *string
	Stream      *bool

	Status       *string // "success" or "failure", as the body has it
	ErrorCode    *string
	ErrorClass   *string
	ErrorMessage *string
	FinishReason *string // of the first choice
	EndedBy      *string

	Start      *time.Time // UTC, microseconds
	End        *time.Time
	FirstToken *time.Time

	Team      *string // the team's alias
	TeamID    *string
	KeyAlias  *string
	KeyHash   *string // never a key itself
	User      *string
	EndUser   *string
	UserAgent *string

	TokensIn        *int64 // never negative
	TokensOut       *int64
	TokensCached    *int64
	TokensReasoning *int64
	Cost            *float64 // finite, in the currency of the body (LiteLLM: USD)

	Tags []string // nil where the body has none
}

// Extract is the fields of a body that holds one record: a JSON object, alone, as the only
// element of an array or as the only line. For any other body it is empty; Each
// takes those of several records. Time and memory are linear in the body.
func Extract(body []byte) Fields {
	var one Fields
	n := 0
	for f := range Each(body) {
		if n++; n > 1 {
			return Fields{}
		}
		one = f
	}
	return one
}

// Each yields the fields of every JSON object that the body holds as a record
// of its own: the body itself, the elements of an array, or the lines of NDJSON, in order.
// Elements and lines that are no objects are passed over.
func Each(body []byte) iter.Seq[Fields] {
	return func(yield func(Fields) bool) {
		body = bytes.TrimPrefix(body, []byte("\ufeff"))
		if len(body) > MaxBody || !looksLike(body) {
			return
		}
		if ok, _ := each(body, yield); ok {
			return
		}
		for line := range bytes.Lines(body) {
			line = bytes.TrimPrefix(line, []byte{0x1e}) // RFC 7464
			if !looksLike(line) || len(line) == len(body) {
				continue
			}
			if _, more := each(line, yield); !more {
				return
			}
		}
	}
}

// All yields the columns that are set, by their names in a pack and in their order there. Values are
// string, int64, float64, bool, time.Time or []string.
func (f *Fields) All() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		_ = column(yield, "id", f.ID) && column(yield, "call_id", f.CallID) && column(yield, "trace_id", f.TraceID) && column(yield, "parent_id", f.ParentID) &&
			column(yield, "provider", f.Provider) && column(yield, "model", f.Model) && column(yield, "served_model", f.ServedModel) &&
			column(yield, "model_group", f.ModelGroup) && column(yield, "api_base", f.APIBase) && column(yield, "call_type", f.CallType) &&
			column(yield, "stream", f.Stream) &&
			column(yield, "status", f.Status) && column(yield, "error_code", f.ErrorCode) && column(yield, "error_class", f.ErrorClass) &&
			column(yield, "error_message", f.ErrorMessage) && column(yield, "finish_reason", f.FinishReason) && column(yield, "ended_by", f.EndedBy) &&
			column(yield, "start", f.Start) && column(yield, "end", f.End) && column(yield, "first_token", f.FirstToken) &&
			column(yield, "team", f.Team) && column(yield, "team_id", f.TeamID) && column(yield, "key_alias", f.KeyAlias) &&
			column(yield, "key_hash", f.KeyHash) && column(yield, "user", f.User) && column(yield, "end_user", f.EndUser) &&
			column(yield, "tokens_in", f.TokensIn) && column(yield, "tokens_out", f.TokensOut) && column(yield, "tokens_cached", f.TokensCached) &&
			column(yield, "tokens_reasoning", f.TokensReasoning) && column(yield, "cost", f.Cost) &&
			(len(f.Tags) == 0 || yield("tags", f.Tags)) && column(yield, "user_agent", f.UserAgent)
	}
}

func column[T any](yield func(string, any) bool, name string, v *T) bool {
	return v == nil || yield(name, *v)
}
