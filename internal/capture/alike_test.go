package capture

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestAlikeEventsAreReadAsEachAlone has streams in which events resemble the one before: what is derived is the same as where
// each is parsed.
func TestAlikeEventsAreReadAsEachAlone(t *testing.T) {
	delta := func(texts ...string) (events []string) {
		for _, text := range texts {
			events = append(events, `{"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"`+text+`"},"finish_reason":null}]}`)
		}
		return events
	}
	for name, events := range map[string][]string{
		"plain":           delta("a", "b", "", "c d", "é"),
		"escapes":         delta("a", `\n`, "b", `\"`, `"`, "c"),
		"a quote":         delta("a", `x","text":"y`, "b"),
		"control":         delta("a", "x\ty", "b"),
		"a reason":        {`{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}`, `{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}`},
		"usage":           {`{"choices":[{"delta":{"content":"a"}}],"usage":{"prompt_tokens":1}}`, `{"choices":[{"delta":{"content":"b"}}],"usage":{"prompt_tokens":1}}`},
		"two choices":     {`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}},{"delta":{"content":"a"}}]}`},
		"a tool":          {`{"choices":[{"delta":{"content":"a","tool_calls":[{"index":0,"function":{"arguments":"x"}}]}}]}`, `{"choices":[{"delta":{"content":"b","tool_calls":[{"index":0,"function":{"arguments":"x"}}]}}]}`},
		"reasoning":       {`{"choices":[{"delta":{"content":"a","reasoning_content":"r"}}]}`, `{"choices":[{"delta":{"content":"b","reasoning_content":"r"}}]}`},
		"another model":   {`{"model":"m","choices":[{"delta":{"content":"a"}}]}`, `{"model":"n","choices":[{"delta":{"content":"a"}}]}`, `{"model":"m","choices":[{"delta":{"content":"a"}}]}`},
		"anthropic":       {`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`, `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}`},
		"anthropic tools": {`{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"a"}}`, `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"b"}}`},
		"responses":       {`{"type":"response.output_text.delta","delta":"a"}`, `{"type":"response.output_text.delta","delta":"b"}`},
		"the text twice":  {`{"choices":[{"delta":{"content":"a"},"text":"a"}]}`, `{"choices":[{"delta":{"content":"b"},"text":"a"}]}`},
		"no JSON":         {delta("a")[0], delta("a")[0] + "x", delta("b")[0]},
		"gemini":          {`{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}`, `{"candidates":[{"content":{"parts":[{"text":"b"}]}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			read := func(shortcut bool) *Derived {
				f := &fold{d: &Derived{}}
				for _, e := range events {
					if !shortcut {
						f.alike = alike{}
					}
					f.event(&event{data: []byte(e)}, framingSSE)
				}
				f.finish()
				return f.d
			}
			if got, want := read(true), read(false); !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, each alone %+v", got, want)
			}
		})
	}
	f := &fold{d: &Derived{}}
	f.event(&event{data: []byte(delta("a")[0])}, framingSSE)
	for _, e := range delta("b", "c") {
		if _, ok := f.alike.text(&event{data: []byte(e)}); !ok {
			t.Errorf("%s is parsed", e)
		}
	}
}

// TestContainsInTextsLikeTheSecret has texts that resemble a secret everywhere, from which on another search takes over.
func TestContainsInTextsLikeTheSecret(t *testing.T) {
	long := strings.Repeat("B", 500)
	for _, secret := range []string{"BBBBBBBC", "CBBBBBBB", "BBBBCBBB", long + "C"} {
		for n := range 200 {
			text := long + long[:n] + secret + long
			if !Contains([]byte(text), secret) || Contains([]byte(strings.ReplaceAll(text, "C", "B")), secret) {
				t.Fatalf("%q behind %d", secret, n)
			}
		}
	}
}

// BenchmarkContainsHostile searches a text that resembles a long secret everywhere.
func BenchmarkContainsHostile(b *testing.B) {
	text, secret := bytes.Repeat([]byte("B"), 256<<10), strings.Repeat("B", 60<<10)+"C"
	for b.Loop() {
		Contains(text, secret)
	}
}

// TestContains compares with what the standard library finds.
func TestContains(t *testing.T) {
	for _, secret := range []string{"sk-Ab9xY", "aaaaaaaa", "12345678", "ééééXé"} {
		for n := range 3 {
			for _, text := range []string{"", secret[:len(secret)-1], secret, secret[1:] + secret, secret[:3] + secret + "x", strings.Repeat("the A9 x é", n) + secret + secret[:2], fmt.Sprint(n, secret[1:], secret[:5])} {
				if got, want := Contains([]byte(text), secret), strings.Contains(text, secret); got != want {
					t.Errorf("Contains(%q, %q) = %v", text, secret, got)
				}
			}
		}
	}
}
