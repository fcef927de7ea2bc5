package fields

// record is the fields of one record, an object of valid JSON. Of several names
// for one field, LiteLLM's comes first.
func (t *top) record() Fields {
	f := t.fields()
	if t.derived.isObject() && t.callID != "" {
		d, _ := readTop(t.derived.bytes(), 0)
		f.complete(d.fields())
	}
	return f
}

// fields is the fields of one object.
func (t *top) fields() Fields {
	meta, hidden, resp := readMetadata(t.metadata), readHidden(t.hiddenParams), readResponse(t.response)
	failure, other := readFailure(t.errorInformation), readFailure(t.err)
	var k keeper
	f := Fields{
		ID:       k.id(t.id, t.requestID),
		CallID:   k.id(t.litellmCallID, t.callID, t.requestID),
		TraceID:  k.id(t.traceID),
		ParentID: k.id(t.parentID, t.parentRequestID, meta.parentID),

		Provider:    k.str(t.customLLMProvider, t.provider, failure.llmProvider),
		Model:       k.str(t.model),
		ServedModel: k.str(t.servedModel, resp.model, t.responseModel, hidden.litellmModelName),
		ModelGroup:  k.str(t.modelGroup),
		APIBase:     k.str(t.apiBase, hidden.apiBase),
		CallType:    k.str(t.callType),
		Stream:      boolean(t.stream),

		Status:       k.str(t.status),
		ErrorCode:    k.str(failure.errorCode, t.errorCode, other.code),
		ErrorClass:   k.str(failure.errorClass, t.errorClass, other.kind),
		ErrorMessage: k.str(failure.errorMessage, t.errorStr, t.errorMessage, other.message, t.err.onlyText()),
		FinishReason: k.str(firstChoice(resp.choices), resp.stopReason, resp.finishReason, firstChoice(t.choices), t.finishReason, t.stopReason),
		EndedBy:      k.str(t.endedBy),

		Start:      moment(t.litellmStart, t.startTime, t.start, t.timestamp, t.time, t.createdAt, t.created),
		End:        moment(t.litellmEnd, t.endTime, t.end),
		FirstToken: moment(t.completionStartTime, t.firstToken),

		Team:      k.str(meta.userAPIKeyTeamAlias, meta.teamAlias, t.teamAlias, t.team.onlyText()),
		TeamID:    k.id(meta.userAPIKeyTeamID, meta.teamID, t.teamID),
		KeyAlias:  k.str(meta.userAPIKeyAlias, t.keyAlias),
		KeyHash:   k.id(meta.userAPIKeyHash, t.keyHash),
		User:      k.str(meta.userAPIKeyUserID, t.user.onlyText(), t.userID),
		EndUser:   k.str(t.endUser, meta.userAPIKeyEndUserID),
		UserAgent: k.str(t.userAgent, meta.userAgent),

		Cost: amount(t.responseCost, t.cost, hidden.responseCost),
		Tags: k.tags(t.requestTags, t.tags, meta.tags),
	}
	f.readTokens(t, meta.usageObject, t.usage, resp.usage, hidden.usageObject)
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
func (f *Fields) readTokens(t *top, usages ...value) {
	f.TokensIn = count(t.promptTokens, t.tokensIn)
	f.TokensOut = count(t.completionTokens, t.tokensOut)
	f.TokensCached = count(t.tokensCached)
	f.TokensReasoning = count(t.tokensReasoning)
	for _, v := range usages {
		if !v.isObject() {
			continue
		}
		u := readUsage(v)
		f.TokensIn = or(f.TokensIn, count(u.promptTokens, u.inputTokens))
		f.TokensOut = or(f.TokensOut, count(u.completionTokens, u.outputTokens))
		f.TokensCached = or(f.TokensCached, count(inside(u.promptTokensDetails, "cached_tokens"), inside(u.inputTokensDetails, "cached_tokens"), u.cacheReadInputTokens))
		f.TokensReasoning = or(f.TokensReasoning, count(inside(u.completionTokensDetails, "reasoning_tokens"), inside(u.outputTokensDetails, "reasoning_tokens")))
	}
}

func or[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// firstChoice is how the first of several answers ended.
func firstChoice(choices value) value {
	if s := choices.elements(); s.next() {
		return inside(s.value, "finish_reason")
	}
	return ""
}

// inside is a member of v.
func inside(v value, name string) (found value) {
	for s := v.members(); s.next(); {
		if s.name == name {
			set(&found, s.value)
		}
	}
	return found
}
