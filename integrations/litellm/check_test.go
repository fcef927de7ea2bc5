package litellm

import (
	"strings"
	"testing"
)

// What the program prints for LiteLLM is what it finds right.
func TestCheckOwnBlocks(t *testing.T) {
	s3, http := &S3Door{URL: "http://127.0.0.1:9000", Bucket: "default"}, &HTTPDoor{URL: "http://127.0.0.1:4318"}
	env := func(name string) (string, bool) {
		return map[string]string{"DEFAULT_S3_FLUSH_INTERVAL_SECONDS": "1"}[name], name == "DEFAULT_S3_FLUSH_INTERVAL_SECONDS"
	}
	for _, text := range []string{s3.Block(), http.Block(), strings.ReplaceAll(s3.Block(), "127.0.0.1", "localhost")} {
		findings := Check([]byte(text), Doors{S3: s3, HTTP: http}, env)
		if len(findings) == 0 {
			t.Errorf("nothing is found in\n%s", text)
		}
		for _, f := range findings {
			if !f.OK {
				t.Errorf("%s: %s in\n%s", f.Found, f.Remedy, text)
			}
		}
	}
}

// Each setting that loses records is found, with what to do.
func TestCheckFindsWhatLoses(t *testing.T) {
	block := S3Door{URL: "http://127.0.0.1:9000", Bucket: "default"}.Block()
	keyed := Doors{S3: &S3Door{URL: "http://127.0.0.1:9000"}, KeyIDs: []string{"AKIA1", "AKIA2"}, HTTP: &HTTPDoor{URL: "http://127.0.0.1:4318"}}
	open := Doors{S3: keyed.S3, HTTP: keyed.HTTP}
	env := map[string]string{}
	for _, c := range []struct {
		name     string
		old, new string
		doors    Doors
		env      map[string]string
		found    string
		remedy   string
		loses    bool
	}{
		{"no callback", `["s3_v2"]`, `["langfuse"]`, open, env, "nothing is sent here", "litellm config", true},
		{"one text", `["s3_v2"]`, `s3_v2`, open, env, "for up to 10 s", "FLUSH_INTERVAL", false},
		{"success alone", "  callbacks:", "  success_callback:", open, env, "calls that fail have no record", "litellm_settings.callbacks", true},
		{"success and failure", "  callbacks: [\"s3_v2\"]", "  success_callback: [s3_v2]\n  failure_callback: [s3_v2]", open, env, "for up to 10 s", "FLUSH_INTERVAL", false},
		{"retry age", "s3_max_retry_age_seconds: 0", "s3_max_retry_age_seconds: 60", open, env, "gives records up when they are as old as that", "s3_max_retry_age_seconds: 0", true},
		{"no retry age", "    s3_max_retry_age_seconds: 0", "#", open, env, "not set, and 3600 then", "s3_max_retry_age_seconds: 0", true},
		{"drop", "s3_drop_on_terminal_error: false", "s3_drop_on_terminal_error: true", open, env, "drops a record", "s3_drop_on_terminal_error: false", true},
		{"slash", "http://127.0.0.1:9000", "http://127.0.0.1:9000/", open, env, "has a path", "s3_endpoint_url: http://127.0.0.1:9000", true},
		{"elsewhere", "http://127.0.0.1:9000", "http://minio:9000", open, env, "the S3 door is at", "s3_endpoint_url", false},
		{"no endpoint", "    s3_endpoint_url: http://127.0.0.1:9000", "#", open, env, "sends to AWS", "s3_endpoint_url", true},
		{"no bucket", "s3_bucket_name: default", "s3_bucket_name:", open, env, "s3_bucket_name is not set", "any text", true},
		{"unknown key", "x", "x", keyed, env, `"any", which the S3 door does not know`, "AKIA1, AKIA2", true},
		{"door off", "x", "x", Doors{}, env, "the S3 door, which is off", "--s3", true},
		{"no parameters", block[strings.Index(block, "  s3_callback_params"):], "", open, env, "no s3_callback_params", "litellm config", true},
		{"twice", "litellm_settings:", "litellm_settings: {}\nlitellm_settings:", open, env, "litellm_settings", "correct the file", true},
		{"callback elsewhere", `["s3_v2"]`, `["indelible_callback.indelible"]`, open, map[string]string{"INDELIBLE_URL": "http://other:1"}, "posts to http://other:1", "INDELIBLE_URL=http://127.0.0.1:4318", false},
		{"callback behind", `["s3_v2"]`, `[langfuse, "indelible_callback.indelible"]`, open, env, "not the first", "in front", false},
		{"callback, door off", `["s3_v2"]`, `["indelible_callback.indelible"]`, Doors{S3: open.S3}, env, "the HTTP door, which is off", "--http", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(block, c.old, c.new, 1)
			for _, f := range Check([]byte(text), c.doors, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }) {
				if strings.Contains(f.Found, c.found) && strings.Contains(f.Remedy, c.remedy) && !f.OK && f.Loses == c.loses {
					return
				}
			}
			t.Errorf("not found: %+v", Check([]byte(text), c.doors, func(string) (string, bool) { return "", false }))
		})
	}
}
