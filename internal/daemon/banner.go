package daemon

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/local"
	"indelible/internal/term"
	"indelible/internal/version"
)

// banner says, in a dozen lines, where the doors are, where records go, and how
// to point LiteLLM here.
func (d *daemon) banner(w io.Writer) {
	c := d.config
	var b strings.Builder
	style := term.StyleOf(w)
	line := func(title, text string) { fmt.Fprintf(&b, "  %-12s %s\n", title, style.Wrap(15, text)) }
	fmt.Fprintf(&b, "indelible %s serves the log %s\n", version.Of().Version, d.engine.Name())
	block := ""
	for _, s := range d.servers {
		url := s.at.URL(s.addr())
		switch {
		case s.door != nil:
			line(s.door.title, s.door.says(c, url))
			if s.door.name == "s3" {
				block = local.S3Block(d.doorStatus(s, s.door.name, s.meter))
			}
		case s.at.Name != "": // not the socket
			line("dashboard", d.dashboard(url))
			line("admin", fmt.Sprintf("%s  (/metrics, /readyz; %s)", url, adminTokens(c)))
		}
	}
	line("spool", c.Data)
	line("destination", string(c.Destination.URL))
	if block != "" {
		fmt.Fprintf(&b, "For LiteLLM's config.yaml (\"indelible litellm config\" prints it again):\n%s", block)
	}
	_, _ = io.WriteString(w, b.String())
}

// adminTokens says where the token of the admin listener's API is.
func adminTokens(c *config.Config) string {
	if c.Admin.Token.IsSet() {
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
