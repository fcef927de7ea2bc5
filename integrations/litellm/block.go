package litellm

import (
	"fmt"
	"strings"

	"indelible/internal/config"
)

// S3Door is what LiteLLM's s3_v2 has to know of the S3 door.
type S3Door struct {
	URL    string
	Bucket string
	KeyID  string // of an access key; "": signatures are not checked
}

// Block is the part of LiteLLM's config.yaml that sends its audit log to the door. It
// holds no secret.
func (d S3Door) Block() string {
	id, secret := "any", "any              # not checked here, but LiteLLM wants one"
	if d.KeyID != "" {
		id, secret = config.YAMLText(d.KeyID), "os.environ/INDELIBLE_SECRET   # the secret of that key, in LiteLLM's environment"
	}
	return fmt.Sprintf(`# Set DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1 in LiteLLM's environment: what it has not sent yet dies with it.
litellm_settings:
  callbacks: ["s3_v2"]
  s3_callback_params:
    s3_bucket_name: %s
    s3_region_name: us-east-1                  # any region; it must be set
    s3_endpoint_url: %s
    s3_aws_access_key_id: %s
    s3_aws_secret_access_key: %s
    s3_max_retry_age_seconds: 0                # never give a record up
    s3_drop_on_terminal_error: false
`, config.YAMLText(d.Bucket), d.URL, id, secret)
}

// HTTPDoor is what the callback has to know of the HTTP door.
type HTTPDoor struct {
	URL   string
	Token bool // senders need one
}

// Block is the part of LiteLLM's config.yaml that loads the callback, and what stands in
// LiteLLM's environment for it.
func (d HTTPDoor) Block() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Beside this file:          indelible litellm callback > %s\n", CallbackName)
	fmt.Fprintf(&b, "# In LiteLLM's environment:  INDELIBLE_URL=%s\n", d.URL)
	if d.Token {
		b.WriteString("#                            INDELIBLE_TOKEN=…   one of INDELIBLE_HTTP_TOKENS\n")
	}
	b.WriteString("litellm_settings:\n  callbacks: [\"indelible_callback.indelible\"]\n")
	return b.String()
}

// Proxy is what LiteLLM has to know of the recording proxy.
type Proxy struct {
	URL   string
	Token bool // callers need one
}

// proxied is, for each provider, what LiteLLM calls it and what its api_base has behind the proxy's
// address. Where LiteLLM takes api_base for the whole URL, it is whole.
var proxied = []struct{ name, model, base string }{
	{"openai", "openai/MODEL", "/openai/v1"},
	{"anthropic", "anthropic/MODEL", "/anthropic"},
	{"gemini", "gemini/MODEL", "/gemini/v1beta"},
	{"mistral", "mistral/MODEL", "/mistral/v1"},
	{"cohere", "cohere_chat/MODEL", "/cohere/v2/chat"},
	{"ollama", "ollama_chat/MODEL", "/ollama"},
}

// Block is the part of LiteLLM's config.yaml that sends its calls through the proxy.
func (p Proxy) Block() string {
	var b strings.Builder
	b.WriteString("# Put api_base to your models: LiteLLM's calls then pass the recording proxy. Keys stay where they are.\n")
	if p.Token {
		b.WriteString("# The proxy wants one of INDELIBLE_PROXY_TOKENS: replace TOKEN by it.\n")
	}
	b.WriteString("model_list:\n")
	for _, m := range proxied {
		fmt.Fprintf(&b, "  - model_name: my-%s-model\n    litellm_params:\n      model: %s\n      api_base: %s%s\n", m.name, m.model, p.URL, m.base)
		if p.Token {
			b.WriteString("      extra_headers: {x-indelible-token: TOKEN}\n")
		}
	}
	return b.String()
}
