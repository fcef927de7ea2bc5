package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeDir = "../../packaging/compose"

var composeEnv = []string{
	"INDELIBLE_IMAGE=registry.example/indelible:1.0", "LITELLM_IMAGE=ghcr.io/berriai/litellm:main",
	"INDELIBLE_TOKEN=a-token-of-a-sender", "INDELIBLE_ADMIN_TOKEN=a-token-of-the-dashboard", "LITELLM_MASTER_KEY=sk-1",
}

func compose(t *testing.T, env []string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(composeDir, "docker-compose.yml")}, cli.WithEnv(env), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// TestCompose loads the file as docker compose does, and gives Indelible's environment to
// the program itself.
func TestCompose(t *testing.T) {
	p, err := compose(t, composeEnv)
	if err != nil {
		t.Fatal(err)
	}
	own, llm := p.Services["indelible"], p.Services["litellm"]
	if *llm.Environment["INDELIBLE_TOKEN"] != *own.Environment["INDELIBLE_HTTP_TOKENS"] {
		t.Error("LiteLLM has another token than the door")
	}
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind {
				if _, err := os.Stat(v.Source); err != nil {
					t.Errorf("%s: %v", s.Name, err)
				}
			}
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s is open to everybody", s.Name, port.Published)
			}
		}
	}
	words := []string{indelible(t), "config", "check"}
	for name, value := range own.Environment {
		words = append(words, name+"="+*value)
	}
	if out, err := command(t, words...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestComposeRefuses: what must be set is asked for by name.
func TestComposeRefuses(t *testing.T) {
	for i, e := range composeEnv {
		env := append(append([]string{}, composeEnv[:i]...), composeEnv[i+1:]...)
		name, _, _ := strings.Cut(e, "=")
		if _, err := compose(t, env); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for line := range strings.Lines(read(t, filepath.Join(composeDir, "docker-compose.yml"))) {
		if _, rest, ok := strings.Cut(line, "${"); ok {
			name := rest[:strings.IndexAny(rest, ":}")]
			if !strings.Contains(read(t, filepath.Join(composeDir, ".env.example")), "\n"+name+"=") {
				t.Errorf("%s does not stand in .env.example", name)
			}
		}
	}
}
