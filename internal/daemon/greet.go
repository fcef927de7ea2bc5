package daemon

import (
	"fmt"
	"io"
	"path/filepath"
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
			s3 = s3Block(doorOf(c, s.at, s.ln.Addr().String()))
			fmt.Fprintf(&b, "  S3 door      %s  (%s)\n", s.at.URL(s.ln.Addr().String()), signatures(c.Doors.S3))
		case "http":
			fmt.Fprintf(&b, "  HTTP door    %s  (POST /v1/records; %s)\n", s.at.URL(s.ln.Addr().String()), tokens(c.Doors.HTTP))
		case "proxy":
			fmt.Fprintf(&b, "  proxy        %s/<upstream>/...  (%s; openai, anthropic, gemini, ...)\n", s.at.URL(s.ln.Addr().String()), c.Doors.Proxy.Mode)
		case "admin":
			fmt.Fprintf(&b, "  dashboard    %s\n", d.dashboard(s.at.URL(s.ln.Addr().String())))
			fmt.Fprintf(&b, "  admin        %s  (/metrics, /readyz; %s)\n", s.at.URL(s.ln.Addr().String()), adminTokens(c))
		}
	}
	fmt.Fprintf(&b, "  spool        %s\n", c.Data)
	fmt.Fprintf(&b, "  destination  %s\n", c.Destination.URL)
	if s3 != "" {
		fmt.Fprintf(&b, "For LiteLLM's config.yaml (\"indelible litellm config\" prints it again):\n%s", s3)
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

// adminTokens says where the token of the admin listener's API is.
func adminTokens(c *config.Config) string {
	if c.Admin.Token != "" {
		return "/api with admin.token"
	}
	return "/api with the token in " + filepath.Join(c.Data, control.TokenFile)
}

// dashboard is the address that opens the dashboard: a token that was made stands in its
// fragment, which no browser sends to a server.
func (d *daemon) dashboard(url string) string {
	if d.madeToken == "" {
		return url + "/  (asks for admin.token)"
	}
	return url + "/#" + d.madeToken
}
