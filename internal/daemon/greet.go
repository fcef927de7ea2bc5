package daemon

import (
	"fmt"
	"io"
	"strings"

	"indelible/internal/config"
	"indelible/internal/control"
)

// greet says, in a dozen lines, where the doors are, where records go, and how
// to point LiteLLM here.
func (d *daemon) greet(w io.Writer) {
	c := d.config
	var b strings.Builder
	fmt.Fprintf(&b, "indelible %s serves the log %s\n", control.Version().Version, d.engine.Name())
	s3 := ""
	for _, s := range d.servers {
		switch s.at.Name {
		case "s3":
			s3 = s.at.URL(s.ln.Addr().String())
			fmt.Fprintf(&b, "  S3 door      %s  (%s)\n", s3, signatures(c.Doors.S3))
		case "http":
			fmt.Fprintf(&b, "  HTTP door    %s  (POST /v1/records; %s)\n", s.at.URL(s.ln.Addr().String()), tokens(c.Doors.HTTP))
		case "admin":
			fmt.Fprintf(&b, "  admin        %s  (/metrics, /readyz)\n", s.at.URL(s.ln.Addr().String()))
		}
	}
	fmt.Fprintf(&b, "  spool        %s\n", c.Data)
	fmt.Fprintf(&b, "  destination  %s\n", c.Destination.URL)
	if s3 != "" {
		fmt.Fprintf(&b, "For LiteLLM's config.yaml (with DEFAULT_S3_FLUSH_INTERVAL_SECONDS=1 in its environment):\n%s", liteLLM(s3, c))
	}
	_, _ = io.WriteString(w, b.String())
}

func signatures(s config.S3Door) string {
	switch {
	case s.Trust:
		return "signatures not checked: doors.s3.trust"
	case len(s.Keys) == 0:
		return "signatures not checked: loopback only"
	case len(s.Keys) == 1:
		return "1 access key"
	}
	return fmt.Sprintf("%d access keys", len(s.Keys))
}

func tokens(h config.HTTPDoor) string {
	switch len(h.Tokens) {
	case 0:
		return "no token: loopback only"
	case 1:
		return "1 token"
	}
	return fmt.Sprintf("%d tokens", len(h.Tokens))
}

// LiteLLM is the block of LiteLLM's config.yaml that sends its audit log to the
// S3 door: of the daemon that runs, or else of this configuration.
func LiteLLM(l *config.Loaded) (string, error) {
	c := &l.Config
	at := c.Listeners()[0]
	addr := at.Addr
	if r, err := control.ReadRunning(c.Data); err == nil && r.S3 != "" {
		addr = r.S3
	}
	if addr == config.Off {
		return "", &config.Error{Where: "--s3", Problem: "the S3 door is off: LiteLLM's s3_v2 callback needs it"}
	}
	scheme := "http://"
	if at.TLS.Cert != "" {
		scheme = "https://"
	}
	return liteLLM(scheme+config.Reachable(addr), c) + callbackHint(c), nil
}

// callbackHint says how to have answers wait for their records instead, as comments.
func callbackHint(c *config.Config) string {
	at := c.Listeners()[1]
	addr := at.Addr
	if r, err := control.ReadRunning(c.Data); err == nil && r.HTTP != "" {
		addr = r.HTTP
	}
	if addr == config.Off {
		return ""
	}
	scheme := "http://"
	if at.TLS.Cert != "" {
		scheme = "https://"
	}
	return fmt.Sprintf(`# So that no answer is without a durable record (docs/litellm.md), instead of the above:
#   indelible litellm callback > indelible_callback.py     # beside this file
#   INDELIBLE_URL=%s                    # in LiteLLM's environment
#litellm_settings:
#  callbacks: ["indelible_callback.indelible"]
`, scheme+config.Reachable(addr))
}

// liteLLM is the block for the S3 door at url. Secrets stay in the environment.
func liteLLM(url string, c *config.Config) string {
	id, secret := "any", "any # not checked here, but LiteLLM wants one"
	if len(c.Doors.S3.Keys) > 0 {
		id, secret = c.Doors.S3.Keys[0].ID, "os.environ/INDELIBLE_SECRET # the secret of that key, in LiteLLM's environment"
	}
	return fmt.Sprintf(`litellm_settings:
  callbacks: ["s3_v2"]
  s3_callback_params:
    s3_bucket_name: %s
    s3_region_name: us-east-1
    s3_endpoint_url: %s
    s3_aws_access_key_id: %s
    s3_aws_secret_access_key: %s
`, config.YAMLText(c.Doors.S3.Bucket), url, config.YAMLText(id), secret)
}
