package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// loadText loads a configuration file with this text.
func loadText(t *testing.T, text string) (*Loaded, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "indelible.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"INDELIBLE_SECRET", "INDELIBLE_TOKEN", "INDELIBLE_ADMIN_TOKEN", "INDELIBLE_ADMIN_OPERATOR_TOKEN"}
	return Load(Input{File: name, Env: func(n string) (string, bool) { return "x-" + n, slices.Contains(secrets, n) }})
}

// The file that init writes says what was answered, and so does each line of it that is
// commented out, once it is not.
func TestStarter(t *testing.T) {
	tests := []struct {
		name    string
		starter Starter
		check   func(c *Config) bool
	}{
		{"nothing", Starter{}, func(c *Config) bool {
			return strings.HasSuffix(string(c.Destination.URL), "/indelible-data/store") && c.Doors.S3.Listen == "127.0.0.1:9000"
		}},
		{"a directory", Starter{URL: "file:///srv/audit", Data: "/var/lib/indelible"}, func(c *Config) bool {
			return c.Destination.URL == "file:///srv/audit" && c.Data == "/var/lib/indelible"
		}},
		{"aws", Starter{URL: "s3://audit/llm/{bucket}", Region: "eu-west-1"}, func(c *Config) bool {
			return c.Destination.URL == "s3://audit/llm/{bucket}" && c.Destination.Region == "eu-west-1" && c.Destination.Endpoint == ""
		}},
		{"a server", Starter{URL: "s3://audit", Endpoint: "http://minio:9000", Data: "with: a # and 'quotes'"}, func(c *Config) bool {
			return c.Destination.Endpoint == "http://minio:9000" && strings.HasSuffix(c.Data, "/with: a # and 'quotes'")
		}},
		{"the network", Starter{URL: "s3://audit", Network: true, Key: S3Key{ID: "litellm", Secret: NewSecret("s3cret")}, HTTPToken: NewSecret("t0ken")}, func(c *Config) bool {
			return c.Doors.S3.Listen == "0.0.0.0:9000" && len(c.Doors.S3.Keys) == 1 && c.Doors.S3.Keys[0] == S3Key{ID: "litellm", Secret: NewSecret("s3cret")} &&
				c.Doors.HTTP.Listen == "0.0.0.0:4318" && c.Doors.HTTP.Tokens[0].Secret == NewSecret("t0ken") && c.Admin.Listen == "127.0.0.1:9001"
		}},
	}
	setting := regexp.MustCompile(`^( *)# ( *(?:[a-z_]+:.*))$`)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.starter.File()
			l, err := loadText(t, text)
			if err != nil || !tt.check(&l.Config) {
				t.Fatalf("%v, %+v\n%s", err, l, text)
			}
			var all strings.Builder
			n := 0
			for line := range strings.Lines(text) {
				if m := setting.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
					line = m[1] + m[2] + "\n"
					n++
				}
				all.WriteString(line)
			}
			if n < 3 {
				t.Errorf("%d settings are commented out", n)
			}
			if _, err := loadText(t, all.String()); err != nil {
				t.Errorf("with everything in it: %v\n%s", err, all.String())
			}
		})
	}
}
