package capture

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"
)

// issuing are the ends of paths under which providers and gateways give out credentials: of OpenAI's realtime and chat kit sessions, of its
// and Anthropic's administration, of Gemini's live API, of OAuth, and of LiteLLM.
var issuing = []string{
	"/realtime/client_secrets", "/realtime/sessions", "/realtime/transcription_sessions", "/realtime/translations/client_secrets", "/chatkit/sessions",
	"/admin_api_keys", "/api_keys", "/service_accounts", "/auth_tokens", "/authtokens", "/token", "/key/generate", "/key/regenerate", "/key/service-account/generate",
}

// issues says whether the answer of a call to that URL may hold a new credential.
func issues(u string) bool {
	path, _, _ := strings.Cut(urlPath(u), "?")
	path = strings.ToLower(strings.TrimSuffix(path, "/"))
	for _, end := range issuing {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return strings.Contains(path, "/key/") && strings.HasSuffix(path, "/regenerate")
}

// Issues says whether the answer may hold a new credential: it must not be written to a disk before Scrub has seen all of it.
func (e *Exchange) Issues() bool { return e.Status < 400 && issues(e.URL) }

// issued are the credentials in an answer that gives some out; nil where it cannot be looked into.
func (m *Message) issued(u string) []string {
	b, err := m.content()
	if err != nil && len(b) == 0 {
		return nil
	}
	found := secrets{}
	if j := bytes.TrimSpace(b); valid(j) {
		found.members("", parse(j), strings.Contains(strings.ToLower(u), "tokens")) // Gemini calls a token its name
	} else if len(j) > 0 {
		return nil // cut, or of a form that nobody knows
	}
	return found
}

// members adds the texts that are named like credentials.
func (s *secrets) members(name string, v gjson.Result, names bool) {
	if v.IsObject() || v.IsArray() {
		v.ForEach(func(key, member gjson.Result) bool {
			under := name
			if v.IsObject() {
				under = key.Str
			}
			s.members(under, member, names)
			return true
		})
		return
	}
	if v.Type != gjson.String || !issuedName(name) && !(names && name == "name") {
		return
	}
	if s.add(v.Str); v.Raw[1:len(v.Raw)-1] != v.Str {
		s.add(v.Raw[1 : len(v.Raw)-1]) // as it is spelled
	}
}

// issuedName says whether a member of such an answer holds a credential.
func issuedName(name string) bool {
	switch name = strings.ToLower(name); name {
	case "value", "key", "token", "jwt":
		return true
	}
	return strings.HasSuffix(name, "_key") || strings.HasSuffix(name, "_token") || strings.Contains(name, "secret") || strings.Contains(name, "password")
}

// hide puts an asterisk in place of each byte: nobody knows which of them are a credential.
func (m *Message) hide() {
	if m.Body.Kept == 0 {
		return
	}
	n := min(m.Body.Kept, maxDecoded)
	m.Body.Bytes, m.Body.File, m.Body.Offset = bytes.Repeat([]byte{'*'}, int(n)), nil, 0
	m.Body.Kept, m.Body.Masked, m.plain = n, true, nil
}
