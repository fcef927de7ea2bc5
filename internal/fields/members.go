package fields

// The members that are looked at, per object: each the first of its name, "" where the object has none. Others cost no more than
// being passed over.

// set keeps a member where it is looked at, the first of a name.
func set(slot *value, v value) {
	if slot != nil && *slot == "" {
		*slot = v
	}
}

// top are those of the record itself, and of what a recorder derived of it.
type top struct {
	id, litellmCallID, callID, requestID, traceID, parentID, parentRequestID, customLLMProvider, provider, model, servedModel     value
	responseModel, modelGroup, apiBase, callType, stream, status, errorStr, errorCode, errorClass, errorMessage, errorInformation value
	err, finishReason, stopReason, endedBy, litellmStart, startTime, start, timestamp, time, createdAt, created, litellmEnd       value
	endTime, end, completionStartTime, firstToken, metadata, team, teamAlias, teamID, keyAlias, keyHash, user, userID             value
	endUser, userAgent, promptTokens, completionTokens, tokensIn, tokensOut, tokensCached, tokensReasoning, usage, responseCost   value
	cost, requestTags, tags, hiddenParams, response, choices, derived                                                             value
}

// readTop takes the members of the object that stands at i; end is behind it, or -1 if it is no JSON.
func readTop(b []byte, i int) (t top, end int) {
	s := scan(b, i)
	for s.next() {
		set(t.slot(s.name), s.value)
	}
	if !s.ended {
		return t, -1
	}
	return t, s.at
}

func (o *top) slot(name string) *value {
	switch name {
	case "id":
		return &o.id
	case "litellm_call_id":
		return &o.litellmCallID
	case "call_id":
		return &o.callID
	case "request_id":
		return &o.requestID
	case "trace_id":
		return &o.traceID
	case "parent_id":
		return &o.parentID
	case "parent_request_id":
		return &o.parentRequestID
	case "custom_llm_provider":
		return &o.customLLMProvider
	case "provider":
		return &o.provider
	case "model":
		return &o.model
	case "served_model":
		return &o.servedModel
	case "response_model":
		return &o.responseModel
	case "model_group":
		return &o.modelGroup
	case "api_base":
		return &o.apiBase
	case "call_type":
		return &o.callType
	case "stream":
		return &o.stream
	case "status":
		return &o.status
	case "error_str":
		return &o.errorStr
	case "error_code":
		return &o.errorCode
	case "error_class":
		return &o.errorClass
	case "error_message":
		return &o.errorMessage
	case "error_information":
		return &o.errorInformation
	case "error":
		return &o.err
	case "finish_reason":
		return &o.finishReason
	case "stop_reason":
		return &o.stopReason
	case "ended_by":
		return &o.endedBy
	case "startTime":
		return &o.litellmStart
	case "start_time":
		return &o.startTime
	case "start":
		return &o.start
	case "timestamp":
		return &o.timestamp
	case "time":
		return &o.time
	case "created_at":
		return &o.createdAt
	case "created":
		return &o.created
	case "endTime":
		return &o.litellmEnd
	case "end_time":
		return &o.endTime
	case "end":
		return &o.end
	case "completionStartTime":
		return &o.completionStartTime
	case "first_token":
		return &o.firstToken
	case "metadata":
		return &o.metadata
	case "team":
		return &o.team
	case "team_alias":
		return &o.teamAlias
	case "team_id":
		return &o.teamID
	case "key_alias":
		return &o.keyAlias
	case "key_hash":
		return &o.keyHash
	case "user":
		return &o.user
	case "user_id":
		return &o.userID
	case "end_user":
		return &o.endUser
	case "user_agent":
		return &o.userAgent
	case "prompt_tokens":
		return &o.promptTokens
	case "completion_tokens":
		return &o.completionTokens
	case "tokens_in":
		return &o.tokensIn
	case "tokens_out":
		return &o.tokensOut
	case "tokens_cached":
		return &o.tokensCached
	case "tokens_reasoning":
		return &o.tokensReasoning
	case "usage":
		return &o.usage
	case "response_cost":
		return &o.responseCost
	case "cost":
		return &o.cost
	case "request_tags":
		return &o.requestTags
	case "tags":
		return &o.tags
	case "hidden_params":
		return &o.hiddenParams
	case "response":
		return &o.response
	case "choices":
		return &o.choices
	case "derived":
		return &o.derived
	}
	return nil
}

// metadata are those of metadata.
type metadata struct {
	userAPIKeyTeamAlias, teamAlias, userAPIKeyTeamID, teamID, userAPIKeyAlias, userAPIKeyHash, userAPIKeyUserID, userAPIKeyEndUserID value
	userAgent, usageObject, tags, parentID                                                                                           value
}

func readMetadata(v value) (o metadata) {
	for s := v.members(); s.next(); {
		set(o.slot(s.name), s.value)
	}
	return o
}

func (o *metadata) slot(name string) *value {
	switch name {
	case "user_api_key_team_alias":
		return &o.userAPIKeyTeamAlias
	case "team_alias":
		return &o.teamAlias
	case "user_api_key_team_id":
		return &o.userAPIKeyTeamID
	case "team_id":
		return &o.teamID
	case "user_api_key_alias":
		return &o.userAPIKeyAlias
	case "user_api_key_hash":
		return &o.userAPIKeyHash
	case "user_api_key_user_id":
		return &o.userAPIKeyUserID
	case "user_api_key_end_user_id":
		return &o.userAPIKeyEndUserID
	case "user_agent":
		return &o.userAgent
	case "usage_object":
		return &o.usageObject
	case "tags":
		return &o.tags
	case "parent_id":
		return &o.parentID
	}
	return nil
}

// hidden are those of hidden_params.
type hidden struct {
	litellmModelName, apiBase, usageObject, responseCost value
}

func readHidden(v value) (o hidden) {
	for s := v.members(); s.next(); {
		set(o.slot(s.name), s.value)
	}
	return o
}

func (o *hidden) slot(name string) *value {
	switch name {
	case "litellm_model_name":
		return &o.litellmModelName
	case "api_base":
		return &o.apiBase
	case "usage_object":
		return &o.usageObject
	case "response_cost":
		return &o.responseCost
	}
	return nil
}

// response are those of response.
type response struct {
	id, model, usage, choices, stopReason, finishReason value
}

func readResponse(v value) (o response) {
	for s := v.members(); s.next(); {
		set(o.slot(s.name), s.value)
	}
	return o
}

func (o *response) slot(name string) *value {
	switch name {
	case "id":
		return &o.id
	case "model":
		return &o.model
	case "usage":
		return &o.usage
	case "choices":
		return &o.choices
	case "stop_reason":
		return &o.stopReason
	case "finish_reason":
		return &o.finishReason
	}
	return nil
}

// failure are those of error_information, and error.
type failure struct {
	errorCode, errorClass, errorMessage, llmProvider, code, kind, message value
}

func readFailure(v value) (o failure) {
	for s := v.members(); s.next(); {
		set(o.slot(s.name), s.value)
	}
	return o
}

func (o *failure) slot(name string) *value {
	switch name {
	case "error_code":
		return &o.errorCode
	case "error_class":
		return &o.errorClass
	case "error_message":
		return &o.errorMessage
	case "llm_provider":
		return &o.llmProvider
	case "code":
		return &o.code
	case "type":
		return &o.kind
	case "message":
		return &o.message
	}
	return nil
}

// usage are those of usage, and its like.
type usage struct {
	promptTokens, completionTokens, inputTokens, outputTokens, cacheReadInputTokens, promptTokensDetails, completionTokensDetails value
	inputTokensDetails, outputTokensDetails                                                                                       value
}

func readUsage(v value) (o usage) {
	for s := v.members(); s.next(); {
		set(o.slot(s.name), s.value)
	}
	return o
}

func (o *usage) slot(name string) *value {
	switch name {
	case "prompt_tokens":
		return &o.promptTokens
	case "completion_tokens":
		return &o.completionTokens
	case "input_tokens":
		return &o.inputTokens
	case "output_tokens":
		return &o.outputTokens
	case "cache_read_input_tokens":
		return &o.cacheReadInputTokens
	case "prompt_tokens_details":
		return &o.promptTokensDetails
	case "completion_tokens_details":
		return &o.completionTokensDetails
	case "input_tokens_details":
		return &o.inputTokensDetails
	case "output_tokens_details":
		return &o.outputTokensDetails
	}
	return nil
}
