package otlp_test

// expected is how often a call is recorded so, by the instrumentation: what each was seen to say.
var expected = map[string]map[string]int{}
