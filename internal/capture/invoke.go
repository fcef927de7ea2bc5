package capture

import (
	"encoding/base64"

	"github.com/tidwall/gjson"
)

// chunk reads an event of Bedrock's invoke: the model's own JSON in base64. The last one
// also says what Bedrock counted.
func (f *fold) chunk(bytes gjson.Result) {
	b, err := base64.StdEncoding.DecodeString(bytes.Str)
	if err != nil || !valid(b) {
		f.unparsed("response: a chunk that is no JSON in base64")
		return
	}
	j := parse(b)
	f.body(j, true)
	if m := j.Get("amazon-bedrock-invocationMetrics"); m.IsObject() {
		read, made := m.Get("cacheReadInputTokenCount").Int(), m.Get("cacheWriteInputTokenCount").Int()
		f.usage(m, Tokens{Input: m.Get("inputTokenCount").Int() + read + made, Output: m.Get("outputTokenCount").Int(), Cached: read, CacheWrite: made})
	}
}
