package fields

import "github.com/tidwall/gjson"

// members are the wanted members of one object, each the first of its name; the zero value has none.
type members struct {
	names  map[string]int
	values []gjson.Result // by names; the zero Result where the object has none of that name
}

// get is the member of that name, nil or the zero Result if there is none.
func (m members) get(name string) *gjson.Result {
	if m.values == nil {
		return nil
	}
	return &m.values[m.names[name]]
}

func (m members) has(name string) bool { return m.values != nil && m.get(name).Exists() }

// room is where the members of the objects of one record lie: on the stack, because these are some 10 KiB for each of them.
type room struct {
	results [160]gjson.Result
	used    int
}

// The members that are looked at, per object. Others cost no more than being passed over.
var (
	topNames = names("id", "litellm_call_id", "call_id", "request_id", "trace_id", "parent_id", "parent_request_id",
		"custom_llm_provider", "provider", "model", "served_model", "response_model", "model_group", "api_base", "call_type", "stream",
		"status", "error_str", "error_code", "error_class", "error_message", "error_information", "error", "finish_reason", "stop_reason", "ended_by",
		"startTime", "start_time", "start", "timestamp", "time", "created_at", "created", "endTime", "end_time", "end", "completionStartTime", "first_token",
		"metadata", "team", "team_alias", "team_id", "key_alias", "key_hash", "user", "user_id", "end_user", "user_agent",
		"prompt_tokens", "completion_tokens", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning", "usage", "response_cost", "cost",
		"request_tags", "tags", "hidden_params", "response", "choices", "derived")
	metadataNames = names("user_api_key_team_alias", "team_alias", "user_api_key_team_id", "team_id", "user_api_key_alias", "user_api_key_hash",
		"user_api_key_user_id", "user_api_key_end_user_id", "user_agent", "usage_object", "tags", "parent_id")
	hiddenNames   = names("litellm_model_name", "api_base", "usage_object", "response_cost")
	responseNames = names("id", "model", "usage", "choices", "stop_reason", "finish_reason")
	errorNames    = names("error_code", "error_class", "error_message", "llm_provider", "code", "type", "message")
	usageNames    = names("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "cache_read_input_tokens",
		"prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details")
)

// names numbers them.
func names(list ...string) map[string]int {
	set := make(map[string]int, len(list))
	for i, name := range list {
		set[name] = i
	}
	return set
}

// membersOf collects the wanted members of v, which may be no object.
func (r *room) membersOf(v *gjson.Result, wanted map[string]int) members {
	if v == nil || !v.IsObject() {
		return members{}
	}
	m := members{names: wanted, values: r.results[r.used : r.used+len(wanted)]}
	r.used += len(wanted)
	v.ForEach(func(name, value gjson.Result) bool {
		if i, ok := wanted[name.Str]; ok && !m.values[i].Exists() {
			m.values[i] = value
		}
		return true
	})
	return m
}

// read is the fields of one record, an object of valid JSON. Of several names
// for one field, LiteLLM's comes first.
func read(v *gjson.Result) Fields {
	var r room
	top := r.membersOf(v, topNames)
	f := readMembers(&r, top)
	if derived := top.get("derived"); derived != nil && derived.IsObject() && top.has("call_id") {
		f.complete(readDerived(derived))
	}
	return f
}

// readDerived is the fields of an object in a record.
func readDerived(v *gjson.Result) Fields {
	var r room
	return readMembers(&r, r.membersOf(v, topNames))
}

// readMembers is the fields of one object.
func readMembers(r *room, top members) Fields {
	meta := r.membersOf(top.get("metadata"), metadataNames)
	hidden := r.membersOf(top.get("hidden_params"), hiddenNames)
	resp := r.membersOf(top.get("response"), responseNames)
	failure := r.membersOf(top.get("error_information"), errorNames)
	other := r.membersOf(top.get("error"), errorNames)
	f := Fields{
		ID:       id(top.get("id"), top.get("request_id")),
		CallID:   id(top.get("litellm_call_id"), top.get("call_id"), top.get("request_id")),
		TraceID:  id(top.get("trace_id")),
		ParentID: id(top.get("parent_id"), top.get("parent_request_id"), meta.get("parent_id")),

		Provider:    str(top.get("custom_llm_provider"), top.get("provider"), failure.get("llm_provider")),
		Model:       str(top.get("model")),
		ServedModel: str(top.get("served_model"), resp.get("model"), top.get("response_model"), hidden.get("litellm_model_name")),
		ModelGroup:  str(top.get("model_group")),
		APIBase:     str(top.get("api_base"), hidden.get("api_base")),
		CallType:    str(top.get("call_type")),
		Stream:      boolean(top.get("stream")),

		Status:       str(top.get("status")),
		ErrorCode:    str(failure.get("error_code"), top.get("error_code"), other.get("code")),
		ErrorClass:   str(failure.get("error_class"), top.get("error_class"), other.get("type")),
		ErrorMessage: str(failure.get("error_message"), top.get("error_str"), top.get("error_message"), other.get("message"), onlyText(top.get("error"))),
		FinishReason: str(r.firstChoice(resp.get("choices")), resp.get("stop_reason"), resp.get("finish_reason"), r.firstChoice(top.get("choices")), top.get("finish_reason"), top.get("stop_reason")),
		EndedBy:      str(top.get("ended_by")),

		Start:      moment(top.get("startTime"), top.get("start_time"), top.get("start"), top.get("timestamp"), top.get("time"), top.get("created_at"), top.get("created")),
		End:        moment(top.get("endTime"), top.get("end_time"), top.get("end")),
		FirstToken: moment(top.get("completionStartTime"), top.get("first_token")),

		Team:      str(meta.get("user_api_key_team_alias"), meta.get("team_alias"), top.get("team_alias"), onlyText(top.get("team"))),
		TeamID:    id(meta.get("user_api_key_team_id"), meta.get("team_id"), top.get("team_id")),
		KeyAlias:  str(meta.get("user_api_key_alias"), top.get("key_alias")),
		KeyHash:   id(meta.get("user_api_key_hash"), top.get("key_hash")),
		User:      str(meta.get("user_api_key_user_id"), onlyText(top.get("user")), top.get("user_id")),
		EndUser:   str(top.get("end_user"), meta.get("user_api_key_end_user_id")),
		UserAgent: str(top.get("user_agent"), meta.get("user_agent")),

		Cost: amount(top.get("response_cost"), top.get("cost"), hidden.get("response_cost")),
		Tags: tags(top.get("request_tags"), top.get("tags"), meta.get("tags")),
	}
	f.readTokens(top, r.membersOf(meta.get("usage_object"), usageNames), r.membersOf(top.get("usage"), usageNames), r.membersOf(resp.get("usage"), usageNames),
		r.membersOf(hidden.get("usage_object"), usageNames))
	return f
}

// complete takes what f has not got from what a recorder has derived: an exchange
// (docs/format/exchange.md) or a span (docs/format/otlp.md) holds that apart, under the names of the columns.
func (f *Fields) complete(d Fields) {
	f.ID, f.TraceID = or(d.ID, or(f.ID, f.CallID)), or(f.TraceID, d.TraceID)
	f.Provider, f.Model, f.ServedModel = or(f.Provider, d.Provider), or(f.Model, d.Model), or(f.ServedModel, d.ServedModel)
	f.APIBase, f.CallType, f.Stream = or(f.APIBase, d.APIBase), or(f.CallType, d.CallType), or(f.Stream, d.Stream)
	f.Status, f.ErrorCode, f.ErrorClass, f.ErrorMessage = or(f.Status, d.Status), or(f.ErrorCode, d.ErrorCode), or(f.ErrorClass, d.ErrorClass), or(f.ErrorMessage, d.ErrorMessage)
	f.FinishReason, f.EndedBy, f.FirstToken = or(f.FinishReason, d.FinishReason), or(f.EndedBy, d.EndedBy), or(f.FirstToken, d.FirstToken)
	f.KeyHash, f.EndUser, f.UserAgent = or(f.KeyHash, d.KeyHash), or(f.EndUser, d.EndUser), or(f.UserAgent, d.UserAgent)
	f.ParentID, f.Team, f.TeamID, f.KeyAlias, f.User = or(f.ParentID, d.ParentID), or(f.Team, d.Team), or(f.TeamID, d.TeamID), or(f.KeyAlias, d.KeyAlias), or(f.User, d.User)
	f.Cost = or(f.Cost, d.Cost)
	if f.Tags == nil {
		f.Tags = d.Tags
	}
	f.TokensIn, f.TokensOut = or(f.TokensIn, d.TokensIn), or(f.TokensOut, d.TokensOut)
	f.TokensCached, f.TokensReasoning = or(f.TokensCached, d.TokensCached), or(f.TokensReasoning, d.TokensReasoning)
}

// readTokens takes the counts from the payload itself, then from the usage objects in their order.
func (f *Fields) readTokens(top members, usages ...members) {
	f.TokensIn = count(top.get("prompt_tokens"), top.get("tokens_in"))
	f.TokensOut = count(top.get("completion_tokens"), top.get("tokens_out"))
	f.TokensCached = count(top.get("tokens_cached"))
	f.TokensReasoning = count(top.get("tokens_reasoning"))
	for _, u := range usages {
		if u.values == nil {
			continue
		}
		f.TokensIn = or(f.TokensIn, count(u.get("prompt_tokens"), u.get("input_tokens")))
		f.TokensOut = or(f.TokensOut, count(u.get("completion_tokens"), u.get("output_tokens")))
		f.TokensCached = or(f.TokensCached, count(inside(u.get("prompt_tokens_details"), "cached_tokens"), inside(u.get("input_tokens_details"), "cached_tokens"), u.get("cache_read_input_tokens")))
		f.TokensReasoning = or(f.TokensReasoning, count(inside(u.get("completion_tokens_details"), "reasoning_tokens"), inside(u.get("output_tokens_details"), "reasoning_tokens")))
	}
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// firstChoice is how the first of several answers ended.
func (r *room) firstChoice(choices *gjson.Result) *gjson.Result {
	if choices == nil || !choices.IsArray() {
		return nil
	}
	var first gjson.Result
	choices.ForEach(func(_, c gjson.Result) bool {
		first = c
		return false
	})
	return r.membersOf(&first, finishNames).get("finish_reason")
}

var finishNames = names("finish_reason")

// onlyText is v if it is a string.
func onlyText(v *gjson.Result) *gjson.Result {
	if v != nil && v.Type == gjson.String {
		return v
	}
	return nil
}

// inside is a member of v.
func inside(v *gjson.Result, name string) *gjson.Result {
	if v == nil {
		return nil
	}
	one := v.Get(name)
	return &one
}
