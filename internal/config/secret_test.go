package config

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// marked is a configuration in which every secret has "hush" in it, and nothing else has.
const marked = `
doors:
  s3: {keys: {a: hush1, b: {secret: hush2, name: eu, team: search}}}
  http: {tokens: [{token: hush3, name: billing}, hush4]}
  proxy: {tokens: [hush5]}
admin: {token: hush6, operator_token: hush7}
proof: {key: hush8}
`

// leaks says whether a secret stands in a text, as it is or as fmt writes bytes.
func leaks(text string) bool {
	const mark = "hush"
	return strings.Contains(text, mark) || strings.Contains(strings.ToLower(text), hex.EncodeToString([]byte(mark))) ||
		strings.Contains(text, strings.Trim(fmt.Sprint([]byte(mark)), "[]"))
}

// Whatever a configuration with secrets is printed, logged or marshaled as a part of, they are not in it.
func TestSecretsAreShownNowhere(t *testing.T) {
	l, err := Load(Input{File: writeConfig(t, marked), Env: environment(nil)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fieldsOf(&l.Config) {
		if f.secret && l.Sources[f.Path].Kind != "yaml" {
			t.Errorf("%s is secret and not marked in this test: add it", f.Path)
		}
	}
	hidden := struct {
		config Config
		secret Secret
		keys   map[string]*S3Key
	}{l.Config, l.Config.Admin.Token, map[string]*S3Key{"a": &l.Config.Doors.S3.Keys[0]}}
	starter := Starter{Network: true, Key: l.Config.Doors.S3.Keys[0], HTTPToken: l.Config.Admin.Token}
	for name, v := range map[string]any{
		"config": l.Config, "loaded": *l, "loaded's pointer": l, "settings": l.Settings(), "fields": fieldsOf(&l.Config), "starter": starter,
		"secret": l.Config.Admin.Token, "secret's pointer": &l.Config.Admin.Token, "keys": l.Config.Doors.S3.Keys, "key": l.Config.Doors.S3.Keys[0],
		"tokens": l.Config.Doors.HTTP.Tokens, "proof": l.Config.Proof, "fields that are not exported": hidden,
	} {
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "v", v)
		asJSON, _ := json.Marshal(v) // not all can be
		asYAML, _ := yaml.Dump(v)
		for form, text := range map[string]string{
			"slog": logged.String(), "JSON": string(asJSON), "YAML": string(asYAML),
			"fmt": fmt.Sprintf("%v %+v %#v %s %q %x %X %d %t %U", v, v, v, v, v, v, v, v, v, v), "an error": fmt.Errorf("x: %v", v).Error(),
		} {
			if leaks(text) {
				t.Errorf("%s in %s shows a secret: %s", name, form, text)
			}
		}
	}
	asJSON, _ := json.Marshal(l.Config.Admin.Token)
	for _, text := range []string{fmt.Sprint(l.Config.Admin.Token), fmt.Sprintf("%#v", l.Config.Admin.Token), strings.Trim(string(asJSON), `"`), l.Config.Admin.Token.LogValue().String()} {
		if text != mask {
			t.Errorf("a secret is shown as %s, want %s", text, mask)
		}
	}
	for _, set := range []bool{false, true} {
		var out bytes.Buffer
		if err := l.Print(&out, set); err != nil || leaks(out.String()) || strings.Count(out.String(), mask) != 8 {
			t.Errorf("%v, or a secret is printed, or a mask is missing:\n%s", err, out.String())
		}
	}
}

// A secret in the wrong place is refused without being repeated.
func TestMistakesShowNoSecret(t *testing.T) {
	section := func(path, text string) string {
		var b strings.Builder
		names := strings.Split(path, ".")
		for i, name := range names {
			fmt.Fprintf(&b, "%s%s:", strings.Repeat("  ", i), name)
			if i < len(names)-1 {
				b.WriteByte('\n')
			}
		}
		return b.String() + " " + text + "\n"
	}
	var files []string
	for _, f := range Fields() {
		if !f.secret {
			continue
		}
		for _, text := range []string{"{a: {b: hush}}", "{hush: {hush: hush}}", "[[hush]]", "[{hush: hush}]", "[{hush: a, hush: b}]", "\n        - hush: a", "\n        - hush: a\n          hush: b", "\n        hush: [a]", "[a, {b: hush}]", "'hush${'", "['hush${NOPE}']", "hush: hush", "[hush", "'hush", "&hush"} {
			files = append(files, section(f.Path, text))
		}
		for i, c := range f.Path {
			if c == '.' {
				files = append(files, section(f.Path[:i], "hush")) // in place of the section
			}
		}
	}
	files = append(files, "hush\n", "- hush\n",
		section("destination.url", "s3://id:hush@bucket"), section("destination.endpoint", "https://id:hush@host"), section("destination.endpoint", "https://host/?token=hush"),
		section("doors.proxy.upstreams", "{p: 'https://id:hush@host'}"), section("doors.proxy.upstreams.p", "https://id:hush@host"), section("doors.proxy.upstreams.p.url", "https://host?hush"),
		section("doors.proxy.upstreams.p.sign", "${SECRET}"), section("log.level", "${SECRET}"), section("doors.s3.keys", "[{id: a, secret: hush, name: hush}]"), section("doors.s3.keys", "{a: hush, a: hush}"))
	files = append(files, "admin: {token: &t hush}\nlog: {level: *t}\n", "admin: {token: &t hush}\ndoors: {proxy: {upstreams: {a: *t}}}\n")
	var inputs []Input
	for _, text := range files {
		inputs = append(inputs, Input{File: writeConfig(t, text)})
	}
	for name, texts := range map[string][]string{
		"INDELIBLE_S3_KEYS": {"hush", "hush:", ":hush", "a:hush,hush"}, "INDELIBLE_HTTP_TOKENS": {"hush,", ",hush"}, "INDELIBLE_PROXY_TOKENS": {"hush,,hush"},
		"AWS_ENDPOINT_URL_S3": {"https://id:hush@host", "id:hush@host"}, "INDELIBLE_TO": {"s3://id:hush@bucket", "s4://id:hush@bucket"},
	} {
		for _, text := range texts {
			inputs = append(inputs, Input{File: writeConfig(t, ""), Env: environment(map[string]string{name: text})})
		}
	}
	inputs = append(inputs, Input{File: writeConfig(t, ""), Flags: map[string]string{"to": "s3://id:hush@bucket"}}, Input{File: writeConfig(t, ""), Flags: map[string]string{"endpoint": "https://host/?hush"}})
	for _, in := range inputs {
		if in.Env == nil {
			in.Env = environment(map[string]string{"SECRET": "hush"})
		}
		_, err := Load(in)
		if err == nil {
			continue // a text that is one: it is secret, and shown nowhere
		}
		for _, err := range append(unjoin(err), err) {
			mistake, _ := errors.AsType[*Error](err)
			if mistake == nil || leaks(strings.ReplaceAll(err.Error(), in.File, "")+mistake.Excerpt) {
				t.Errorf("%+v: the error tells a secret: %v\n%+v", in, err, mistake)
			}
		}
	}
}

// What is named like a secret is one, or is known to be none.
func TestEverySecretIsOne(t *testing.T) {
	none := []string{"destination.kms_key_id", "doors.http.litellm.key_prefix", "doors.s3.tls.key", "doors.http.tls.key", "doors.proxy.tls.key", "admin.tls.key", "proof.key_file"}
	for _, f := range Fields() {
		name := f.Path[strings.LastIndexByte(f.Path, '.')+1:]
		named := slices.ContainsFunc([]string{"key", "token", "secret", "password", "credential"}, func(word string) bool { return strings.Contains(name, word) })
		if named && !f.secret && !slices.Contains(none, f.Path) {
			t.Errorf("%s is named like a secret, and its type is %s: make it a Secret, or add it to those that are none", f.Path, f.at.Type())
		}
	}
}
