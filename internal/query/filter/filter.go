// Package filter is the expression language of search and export: it parses
// "team=alpha cost>0.1 \"refund policy\"" and says whether a record matches.
// docs/search.md is its reference.
package filter

import (
	"time"
)

// Filter is a parsed expression: every one of its terms must hold. The zero
// Filter holds for every record. It is immutable.
type Filter struct{ Terms []Term }

// Term is one condition. Of the values only those of its kind are set: of a field's Kind, or Text
// where Field is nil and words are looked for.
type Term struct {
	Field *Field // nil: Words
	Op    Op
	Text  string // Text and List fields; "" asks for one that is missing. Of Words: as written
	Num   float64
	Time  time.Time
	Bool  bool

	// Words are folded words that follow each other. A row whose key or id is Text has them, too.
	Words  []string
	Prefix bool // the last of Words may go on
}

// Op compares.
type Op string

// The operators. Contains and Lacks ignore the case of ASCII letters.
const (
	Equal     Op = "="
	NotEqual  Op = "!="
	Contains  Op = "~"
	Lacks     Op = "!~"
	Less      Op = "<"
	LessEqual Op = "<="
	More      Op = ">"
	MoreEqual Op = ">="
)

// Kind is what values a field has.
type Kind int

// The kinds. Number, Time and Bool may be missing from a record: then no comparison holds, but NotEqual of a Bool or Number.
const (
	Text Kind = iota
	List      // several texts; a comparison holds if it does for one of them, Lacks and NotEqual if it does for all
	Number
	Time
	Bool
)

// Field is what an expression can ask for.
type Field struct {
	Name string
	Kind Kind
	Help string // what it is, for docs and messages
}

// Fields are all there are, in the order of the documentation.
func Fields() []Field { return append([]Field(nil), table[:]...) }

var table = [...]Field{
	{"seq", Number, "the record's number"},
	{"time", Time, "arrival"},
	{"since", Time, "arrival at this time or later"},
	{"until", Time, "arrival before this time"},
	{"state", Text, "pending, stored, proven, deferred or quarantined"},
	{"door", Text, "the door that it came through"},
	{"source", Text, "who sent it, as far as the door knows"},
	{"bucket", Text, "the bucket that the sender used"},
	{"key", Text, "the key that the sender used"},
	{"size", Number, "bytes of the record; 64KiB, 1MB"},
	{"sha256", Text, "of its bytes, lower-case hex"},
	{"id", Text, "the call's id"},
	{"call_id", Text, "LiteLLM's call id"},
	{"trace_id", Text, "the trace"},
	{"parent_id", Text, "the parent's id"},
	{"provider", Text, "the provider"},
	{"model", Text, "the model asked for"},
	{"served_model", Text, "the model that answered"},
	{"model_group", Text, "LiteLLM's model group"},
	{"api_base", Text, "the provider's address"},
	{"call_type", Text, "acompletion, embedding, …"},
	{"stream", Bool, "whether the answer was streamed"},
	{"status", Text, "success or failure"},
	{"error_code", Text, "the failure's code"},
	{"error_class", Text, "the failure's class"},
	{"error_message", Text, "the failure's text"},
	{"finish_reason", Text, "why the model stopped"},
	{"ended_by", Text, "what ended the call"},
	{"start", Time, "when the call began"},
	{"end", Time, "when it ended"},
	{"first_token", Time, "when the first token came"},
	{"team", Text, "the team's alias"},
	{"team_id", Text, "the team's id"},
	{"key_alias", Text, "the API key's alias"},
	{"key_hash", Text, "the API key's hash"},
	{"user", Text, "the user"},
	{"end_user", Text, "the end user"},
	{"tokens_in", Number, "tokens of the prompt"},
	{"tokens_out", Number, "tokens of the answer"},
	{"tokens_cached", Number, "tokens of the prompt that were cached"},
	{"tokens_reasoning", Number, "tokens of reasoning"},
	{"cost", Number, "in US dollars"},
	{"tags", List, "the request's tags"},
	{"user_agent", Text, "the caller's user agent"},
}

// FieldOf is the field of a name; nil if there is none.
func FieldOf(name string) *Field {
	for i := range table {
		if table[i].Name == name {
			return &table[i]
		}
	}
	return nil
}

// HasWords says whether the filter looks for words.
func (f *Filter) HasWords() bool {
	for i := range f.Terms {
		if f.Terms[i].Field == nil {
			return true
		}
	}
	return false
}

// Asks says whether the filter asks for a field.
func (f *Filter) Asks(name string) bool {
	for i := range f.Terms {
		if f.Terms[i].Field != nil && f.Terms[i].Field.Name == name {
			return true
		}
	}
	return false
}
