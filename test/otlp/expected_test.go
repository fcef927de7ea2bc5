package otlp_test

// expected is how often a call is recorded so, by the instrumentation: what each was seen to say. A stream that the
// provider cut, and one that the client left, stand among them as they are recorded, right or wrong.
var expected = map[string]map[string]int{
	"openinference": {
		"cut: failure by gpt-x-2026, stop, no usage, id chatcmpl-s, input yes, output yes":                         1,
		"embed: success by e, , 1 tokens in, id , input no, output no":                                             1,
		"error: failure by , , no usage, id , input yes, output no":                                                1,
		"left: success by gpt-x-2026, , no usage, id chatcmpl-s, input yes, output no":                             1,
		"plain: success by gpt-x-2026, , 1 tokens in, 2 out, id resp_1, input yes, output yes":                     1,
		"plain: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"stream: success by gpt-x-2026, stop, 3 tokens in, 2 out, id chatcmpl-s, input yes, output yes":            1,
		"tools: success by gpt-x-2026, tool_calls, 7 tokens in, 3 out, id chatcmpl-2, input yes, output no":        1,
	},
	"openllmetry": {
		"cut: success by gpt-x-2026, stop, no usage, id chatcmpl-s, input yes, output yes":                         1,
		"embed: success by e, , 1 tokens in, id , input no, output no":                                             1,
		"error: failure by , , no usage, id , input yes, output no":                                                1,
		"left: success by gpt-x-2026, , no usage, id chatcmpl-s, input yes, output no":                             1,
		"plain: success by gpt-x-2026, stop, 1 tokens in, 2 out, id resp_1, input yes, output yes":                 1,
		"plain: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"stream: success by gpt-x-2026, stop, 3 tokens in, 2 out, id chatcmpl-s, input yes, output yes":            1,
		"tools: success by gpt-x-2026, tool_call, 7 tokens in, 3 out, id chatcmpl-2, input yes, output no":         1,
	},
	"genai": {
		"cut: failure by gpt-x-2026, stop, no usage, id chatcmpl-s, input yes, output yes":                         1,
		"embed: success by e, , 1 tokens in, id , input no, output no":                                             1,
		"error: failure by , , no usage, id , input yes, output no":                                                1,
		"left: success by gpt-x-2026, error, no usage, id chatcmpl-s, input yes, output no":                        1,
		"plain: success by gpt-x-2026, stop, 1 tokens in, 2 out, id resp_1, input yes, output yes":                 1,
		"plain: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"stream: success by gpt-x-2026, stop, 3 tokens in, 2 out, id chatcmpl-s, input yes, output yes":            1,
		"tools: success by gpt-x-2026, tool_calls, 7 tokens in, 3 out, id chatcmpl-2, input yes, output no":        1,
	},
	"logfire": {
		"cut: failure by gpt-x-2026, stop, no usage, id chatcmpl-s, input yes, output yes":                         1,
		"embed: success by e, , 1 tokens in, id , input no, output no":                                             1,
		"error: failure by , , no usage, id , input yes, output no":                                                1,
		"plain: success by gpt-x-2026, stop, 1 tokens in, 2 out, id resp_1, input yes, output yes":                 1,
		"plain: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"stream: success by gpt-x-2026, stop, 3 tokens in, 2 out, id chatcmpl-s, input yes, output yes":            1,
		"tools: success by gpt-x-2026, tool_calls, 7 tokens in, 3 out, id chatcmpl-2, input yes, output no":        1,
	},
	"pydantic": {
		"tools: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"tools: success by gpt-x-2026, tool_call, 7 tokens in, 3 out, id chatcmpl-2, input yes, output no":         1,
	},
	"litellm": {
		"cut: failure by , , no usage, id a UUID, input yes, output no":                                            1,
		"error: failure by , , no usage, id a UUID, input yes, output no":                                          1,
		"plain: success by gpt-x-2026, stop, 30 tokens in, 2 out, 10 cached, id chatcmpl-1, input yes, output yes": 1,
		"stream: success by stream, stop, 3 tokens in, 2 out, id chatcmpl-s, input yes, output yes":                1,
	},
}
