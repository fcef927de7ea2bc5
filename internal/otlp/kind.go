package otlp

import (
	"strings"
)

// Kind says what an item is to a call.
type Kind string

// The kinds.
const (
	Call  Kind = "call"  // the call: one for each, with its usage
	Part  Kind = "part"  // more of a call that another record is about: an event, a second span
	Step  Kind = "step"  // what a program does around calls: an agent, a tool, a chain
	Other Kind = "other" // nothing that has to do with a model
)

// rawRequest is the name of LiteLLM's second span of a call: what went to the provider and came back.
const rawRequest = "raw_gen_ai_request"

// steps are values of gen_ai.operation.name that are no calls of a model.
var steps = map[string]bool{
	"create_agent": true, "invoke_agent": true, "execute_tool": true, "invoke_workflow": true, "plan": true, "retrieval": true,
	"search_memory": true, "create_memory": true, "update_memory": true, "upsert_memory": true, "delete_memory": true, "create_memory_store": true, "delete_memory_store": true,
}

// classify says what an item is, by what it says alone.
func (c *content) classify(signal Signal, sc *scope) Kind {
	a := &c.attrs
	if signal == Logs {
		return c.classifyLog()
	}
	if c.name == rawRequest && c.parentID != "" {
		return Part // the child of the call
	}
	operation := a.get("gen_ai.operation.name").string()
	switch span := a.get("openinference.span.kind").string(); {
	case span == "LLM" || span == "EMBEDDING" || span == "RERANKER":
		return Call
	case span != "" || steps[operation] || a.has("traceloop.span.kind"):
		return Step
	}
	if operation != "" || a.has("llm.request.type", "gen_ai.request.model", "llm.request.model") {
		if strings.HasPrefix(sc.name, "logfire.") && c.beginsStream() {
			return Part
		}
		return Call
	}
	for i := range a.list {
		for _, prefix := range [...]string{"gen_ai.", "llm.", "openinference.", "traceloop.", "pydantic_ai."} {
			if strings.HasPrefix(a.list[i].key, prefix) {
				return Step
			}
		}
	}
	return Other
}

// beginsStream reports whether a span of Logfire ended when a stream began: it has what was asked, and nothing of what
// was answered. The other span, which begins when the stream has ended, has both.
func (c *content) beginsStream() bool {
	return !c.failed && len(c.events) == 0 && c.attrs.has("gen_ai.input.messages", "request_data") &&
		!c.attrs.has("gen_ai.response.id", "gen_ai.output.messages", "response_data", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.raw")
}

// classifyLog says what a log record is: an event of GenAI is part of its span, or the call where there is no such span.
func (c *content) classifyLog() Kind {
	if c.name == "" {
		c.name = c.attrs.get("event.name").string() // before events had a name of their own
	}
	if !strings.HasPrefix(c.name, "gen_ai.") {
		return Other
	}
	if c.spanID != "" && c.sampled {
		return Part
	}
	if c.name == "gen_ai.client.inference.operation.details" || c.name == "gen_ai.choice" {
		return Call
	}
	return Part
}

// convention names who spoke, for people.
func (c *content) convention(sc *scope) string {
	a := &c.attrs
	switch {
	case a.has("openinference.span.kind"):
		return "openinference"
	case strings.HasPrefix(sc.name, "logfire"):
		return "logfire"
	case strings.HasPrefix(sc.name, "pydantic-ai"):
		return "pydantic-ai"
	case sc.name == "litellm":
		return "litellm"
	case a.has("gen_ai.is_streaming", "llm.is_streaming", "llm.request.type", "traceloop.span.kind"):
		return "openllmetry"
	case a.has("gen_ai.system") && !a.has("gen_ai.provider.name"):
		return "gen_ai v1.36"
	case a.has("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"), strings.HasPrefix(c.name, "gen_ai."):
		return "gen_ai"
	}
	return ""
}
