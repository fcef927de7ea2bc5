package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// environment is a lookup in a map.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "indelible.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestPrecedence(t *testing.T) {
	file := writeConfig(t, "data: fromyaml\nlayout: object\ndoors: {s3: {listen: 127.0.0.1:1, bucket: b}}\n")
	l, err := Load(Input{
		File:  file,
		Flags: map[string]string{"data": "fromflag"},
		Env:   environment(map[string]string{"INDELIBLE_DATA": "fromenv", "INDELIBLE_S3": "127.0.0.1:2", "INDELIBLE_LAYOUT": ""}),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"data":              {mustAbs(t, "fromflag"), "flag --data"},
		"doors.s3.listen":   {"127.0.0.1:2", "env INDELIBLE_S3"},
		"layout":            {"object", "yaml " + file + ":2"}, // an empty variable counts as unset
		"doors.s3.bucket":   {"b", "yaml " + file + ":3"},
		"doors.http.listen": {"127.0.0.1:4318", "default"},
		"destination.url":   {fileURL(mustAbs(t, "fromflag/store")), "default"},
	}
	for _, s := range l.Settings() {
		if w, ok := want[s.Path]; ok && (s.Value != w[0] || s.Source.String() != w[1]) {
			t.Errorf("%s = %q from %s, want %q from %s", s.Path, s.Value, s.Source, w[0], w[1])
		}
	}
}

func mustAbs(t *testing.T, p string) string {
	t.Helper()
	abs, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

func TestEveryYAMLField(t *testing.T) {
	file := writeConfig(t, `
data: /d
destination:
  url: s3://audit/llm/{bucket}
  endpoint: https://s3.example:9000
  region: eu-west-1
  sse: aws:kms
  kms_key_id: k1
  storage_class: STANDARD_IA
  tags: {team: audit, env: "1"}
  object_lock: {mode: compliance, retain: 180d}
  assume_role: arn:aws:iam::1:role/x
  max_concurrency: 7
  retain: 400d
layout: pack
pack: {max_bytes: 2MiB, max_records: 9, max_age: 5s, fast_after: 7m}
doors:
  s3:
    listen: 0.0.0.0:9000
    keys: ["id1:${SECRET}", {id: id2, secret: "a:b,c", name: eu, team: search}]
    max_hold: 5s
    trust: false
    bucket: dflt
    domains: [s3.internal, logs.local]
    tls: {cert: c.pem, key: k.pem}
  http:
    listen: off
    tokens: [t1, {token: "t,2", name: billing}]
    max_request: 1MiB
    max_hold: 3s
    bucket: audit
    litellm: {path: logs, team_prefix: true, key_prefix: true, partition: hour}
    otlp: {other: keep}
  proxy:
    listen: 127.0.0.1:5
    upstreams: {mine: {url: "https://m.example/v1", key_file: /k, key_header: api-key, provider: azure}, ollama: "http://10.0.0.1:1", cohere: {key_file: c}, bedrock: {url: "https://b.example", sign: aws, region: r, service: s, profile: p}}
    tokens: [p1]
    trust: false
    mode: relaxed
    on_full: pass_and_record_gap
    on_client_disconnect: drain
    drain_max: 2m
    max_request: 1MiB
    max_kept: 2MiB
    max_hold: 4s
    tls: {cert: c.pem, key: k.pem}
admin: {listen: "[::1]:0", token: "$${x}", operator_token: op}
log: {format: json, level: debug}
spool: {max_bytes: 10GB, segment_bytes: 1MiB, reserve_bytes: 1.5GiB}
upload: {attempt_timeout: 10s, backoff_min: 1ms, backoff_max: 2m, confirm: read, confirm_after: 5m}
proof: {name: n-1, key_file: /k, ml_dsa: true, checkpoint_every: 2m, witnesses: ["https://w.example witness.example/w1+f21125f6+BJ89VWwVeWM8CRyWHE73gjGEEVogeE/H08J2G6wGl7ti"]}
shutdown: {drain: 1m30s}
index: {mode: off, text: body}
scrub: {every: 6h, sample: 5}
`)
	l, err := Load(Input{File: file, Env: environment(map[string]string{"SECRET": "s1"})})
	if err != nil {
		t.Fatal(err)
	}
	tls := TLS{Cert: "c.pem", Key: "k.pem"}
	want := Config{
		Data: mustAbs(t, "/d"),
		Destination: Destination{URL: "s3://audit/llm/{bucket}", Endpoint: "https://s3.example:9000", Region: "eu-west-1", SSE: "aws:kms", KMSKeyID: "k1",
			StorageClass: "STANDARD_IA", Tags: map[string]string{"team": "audit", "env": "1"}, ObjectLock: ObjectLock{"compliance", Duration(180 * day)}, AssumeRole: "arn:aws:iam::1:role/x", MaxConcurrency: 7, Retain: Duration(400 * 24 * time.Hour)},
		Layout: "pack", Pack: Pack{2 << 20, 9, Duration(5 * time.Second), Duration(7 * time.Minute)},
		Doors: Doors{
			S3: S3Door{Listen: "0.0.0.0:9000", Keys: []S3Key{{ID: "id1", Secret: NewSecret("s1")}, {"id2", NewSecret("a:b,c"), Sender{"eu", "search"}}}, MaxHold: Duration(5 * time.Second), Bucket: "dflt",
				Domains: []string{"s3.internal", "logs.local"}, TLS: tls},
			HTTP: HTTPDoor{Listen: Off, Tokens: []Token{{Secret: NewSecret("t1")}, {NewSecret("t,2"), Sender{Name: "billing"}}}, MaxRequest: 1 << 20, MaxHold: Duration(3 * time.Second), Bucket: "audit", LiteLLM: LiteLLMKeys{"logs", true, true, "hour"}, OTLP: OTLPDoor{Other: "keep"}},
			Proxy: ProxyDoor{Listen: "127.0.0.1:5", Upstreams: []Upstream{
				{Name: "bedrock", URL: "https://b.example", Sign: "aws", Region: "r", Service: "s", Profile: "p"},
				{Name: "cohere", URL: "https://api.cohere.com", Provider: "cohere", KeyFile: "c"},
				{Name: "mine", URL: "https://m.example/v1", Provider: "azure", KeyFile: "/k", Header: "api-key"},
				{Name: "ollama", URL: "http://10.0.0.1:1", Provider: "ollama"},
			}, Tokens: []Token{{Secret: NewSecret("p1")}}, Mode: "relaxed", OnFull: "pass_and_record_gap", OnLeave: "drain", DrainMax: Duration(2 * time.Minute),
				MaxBody: 1 << 20, MaxKept: 2 << 20, MaxHold: Duration(4 * time.Second), TLS: tls},
		},
		Admin: Admin{Listen: "[::1]:0", Token: NewSecret("${x}"), OperatorToken: NewSecret("op")}, Log: Log{"json", "debug"},
		Spool:  Spool{10e9, 1 << 20, 3 << 29},
		Upload: Upload{Duration(10 * time.Second), Duration(time.Millisecond), Duration(2 * time.Minute), "read", Duration(5 * time.Minute)},
		Proof:  Proof{Name: "n-1", KeyFile: "/k", MLDSA: true, CheckpointEvery: Duration(2 * time.Minute), Witnesses: []string{"https://w.example witness.example/w1+f21125f6+BJ89VWwVeWM8CRyWHE73gjGEEVogeE/H08J2G6wGl7ti"}}, Scrub: Scrub{Every: Duration(6 * time.Hour), Sample: 5},
		Index: Index{Mode: "off", Text: "body"}, Shutdown: Shutdown{Duration(90 * time.Second)},
	}
	if !reflect.DeepEqual(l.Config, want) {
		t.Errorf("got  %+v\nwant %+v", l.Config, want)
	}
	for _, f := range fieldsOf(&l.Config) {
		if l.Sources[f.Path].Kind != "yaml" && f.Path != "proof.key" && !strings.HasPrefix(f.Path, "doors.http.tls") && !strings.HasPrefix(f.Path, "admin.tls") {
			t.Errorf("%s was not read from the file: add it to this test", f.Path)
		}
	}
}

// What is printed can be read again, and says the same.
func TestPrintReadsBack(t *testing.T) {
	in := Input{
		Flags: map[string]string{"to": "s3://audit/a b/{bucket}", "max-spool": "1500MB"},
		Env:   environment(map[string]string{"AWS_REGION": "us-east-1"}),
		File:  writeConfig(t, "destination: {tags: {a: b, c: 'd e'}}\ndoors: {s3: {domains: [x, y]}}\n"),
	}
	first, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := first.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	again, err := Load(Input{File: writeConfig(t, out.String()), Env: environment(nil)})
	if err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	if !reflect.DeepEqual(first.Config, again.Config) {
		t.Errorf("printed and read again:\n%+v\nbefore:\n%+v", again.Config, first.Config)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	l, err := Load(Input{
		File: writeConfig(t, ""),
		Env:  environment(map[string]string{"INDELIBLE_S3_KEYS": "AKIA:hush1,B:hush2", "INDELIBLE_HTTP_TOKENS": "hush3,hush4", "INDELIBLE_ADMIN_TOKEN": "hush5"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := l.Print(&out, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hush") {
		t.Errorf("a secret is printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "AKIA:"+mask) || strings.Count(out.String(), mask) != 5 {
		t.Errorf("masks are missing:\n%s", out.String())
	}
}

// However a configuration is printed, a secret is not in it, and the names are.
func TestSecretsOfNamedSendersAreMasked(t *testing.T) {
	l, err := Load(Input{Env: environment(nil), File: writeConfig(t, `
doors:
  s3: {keys: {a: hush1, b: {secret: hush2, name: eu, team: search}}}
  http: {tokens: [{token: hush3, name: billing}, hush4]}
admin: {token: hush5, operator_token: hush6}
proof: {key: hush7}
`)})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := l.Print(&out, true); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), string(asJSON), fmt.Sprintf("%v %+v %#v", l.Config, l.Config, l.Config)} {
		if strings.Contains(text, "hush") {
			t.Errorf("a secret is printed:\n%s", text)
		}
	}
	for _, want := range []string{"a:********,b:******** (search/eu)", "******** (billing),********"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s is missing in\n%s", want, out.String())
		}
	}
	if k := l.Config.Doors.S3.Keys[1]; k.Secret.Reveal() != "hush2" {
		t.Errorf("%q", k.Secret.Reveal())
	}
	if s := l.Config.Listeners()[0].Senders; len(s) != 1 || s[0] != (Sender{"eu", "search"}) {
		t.Errorf("%+v", s)
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name  string
		yaml  string
		flags map[string]string
		env   map[string]string
		want  []string // each on a line of its own
	}{
		{"unknown field", "dta: x\n", nil, nil, []string{`F:1: unknown field "dta" (did you mean "data"?)`}},
		{"unknown deeper", "doors:\n  s3:\n    lisen: x\n", nil, nil, []string{`F:3: unknown field "lisen" below doors.s3 (did you mean "listen"?)`}},
		{"wrong level", "endpoint: http://x\n", nil, nil, []string{`F:1: unknown field "endpoint" (did you mean destination.endpoint?)`}},
		{"nothing near", "doors: {qqqqqq: 1}\n", nil, nil, []string{`F:1: unknown field "qqqqqq" below doors; known are s3, http, proxy`}},
		{"dotted", "doors.s3.listen: 127.0.0.1:1\n", nil, nil, []string{`F:1: doors.s3.listen: write it as nested fields`}},
		{"all are named", "a1: 1\nb2: 2\n", nil, nil, []string{"F:1: ", "F:2: "}},
		{"twice", "data: x\ndata: y\n", nil, nil, []string{"F:2: "}},
		{"section is scalar", "doors: 5\n", nil, nil, []string{"F:1: doors: want fields below it: s3, http, proxy"}},
		{"scalar is section", "data: {a: b}\n", nil, nil, []string{"F:1: data: want one value, not a list or fields"}},
		{"no value", "data:\n", nil, nil, []string{"F:1: data: has no value; give one or take the line out"}},
		{"not yaml", "data: [\n", nil, nil, []string{"F:"}},
		{"two documents", "data: a\n---\ndata: b\n", nil, nil, []string{"F:"}},
		{"a list", "- a\n", nil, nil, []string{`F:1: want fields such as "data: DIR"`}},
		{"enum", "log: {format: jso}\n", nil, nil, []string{`F:1: log.format: want text, json (did you mean json?), not "jso"`}},
		{"layouts", "layout: packs\npack: {max_age: 1ms, max_records: 0, max_bytes: 1KiB}\n", map[string]string{"layout": "rows"}, nil, []string{"F:1: layout: ", "F:2: pack.max_age: ", "F:2: pack.max_records: ", "F:2: pack.max_bytes: ", "--layout: "}},
		{"upstream's URL", "doors: {proxy: {upstreams: {p: {url: x}}}}\n", nil, nil, []string{"F:1: doors.proxy.upstreams: upstream p: url: want a URL such as https://host[:port]"}},
		{"upstream without URL", "doors: {proxy: {upstreams: {p: {key_file: x}}}}\n", nil, nil, []string{"F:1: doors.proxy.upstreams: upstream p: want its url, such as https://host"}},
		{"upstream's name", "doors: {proxy: {upstreams: {a/b: http://h}}}\n", nil, nil, []string{`F:1: doors.proxy.upstreams: upstream "a/b": want a name of up to 64 letters`}},
		{"upstream's field", "doors: {proxy: {upstreams: {p: {ulr: x}}}}\n", nil, nil, []string{`F:1: doors.proxy.upstreams: upstream p: unknown field "ulr" (did you mean "url"?)`}},
		{"upstream's signature", "doors: {proxy: {upstreams: {p: {url: http://h, sign: gcp}}}}\n", nil, nil, []string{`F:1: doors.proxy.upstreams: upstream p: sign: want aws, not "gcp"`}},
		{"upstream's signature and key", "doors: {proxy: {upstreams: {p: {url: http://h, sign: aws, key_file: k}}}}\n", nil, nil, []string{"F:1: doors.proxy.upstreams: upstream p: key_file and sign both say"}},
		{"upstream's region", "doors: {proxy: {upstreams: {p: {url: http://h, region: r}}}}\n", nil, nil, []string{"F:1: doors.proxy.upstreams: upstream p: region, service and profile are those of a signature"}},
		{"open proxy", "doors: {proxy: {listen: \":4100\"}}\n", nil, nil, []string{"F:1: doors.proxy.listen :4100 can be reached from beyond this machine"}},
		{"proxy's bodies", "doors: {proxy: {max_request: 1GiB}}\n", nil, nil, []string{"F:1: doors.proxy.max_request 1GiB is more than a record can hold: want at most 512MiB"}},
		{"duration", "doors: {s3: {max_hold: 20}}\n", nil, nil, []string{`F:1: doors.s3.max_hold: want a duration such as 90s, 10m or 180d, not "20"`}},
		{"size", "", map[string]string{"max-spool": "lots"}, nil, []string{`--max-spool: want a size such as 64MiB or 10GB, not "lots"`}},
		{"address", "", nil, map[string]string{"INDELIBLE_S3": "9000"}, []string{`INDELIBLE_S3: want host:port, or off (did you mean 127.0.0.1:9000?), not "9000"`}},
		{"number", "destination: {max_concurrency: -1}\n", nil, nil, []string{`F:1: destination.max_concurrency: want a whole number, 0 or more, not "-1"`}},
		{"bool", "doors: {s3: {trust: yes}}\n", nil, nil, []string{`F:1: doors.s3.trust: want true or false, not "yes"`}},
		{"unset name", "data: ${NOPE}\n", nil, nil, []string{"F:1: data: the environment variable NOPE is not set"}},
		{"broken name", "data: ${no-pe}\n", nil, nil, []string{"F:1: data: want ${NAME}"}},
		{"unset in list", "doors: {http: {tokens: ['${NOPE}']}}\n", nil, nil, []string{"F:1: doors.http.tokens: the environment variable NOPE is not set"}},
		{"scheme", "", map[string]string{"to": "s4://bucket"}, nil, []string{`--to: want s3://bucket[/prefix], file:///dir or a path (did you mean s3://?), not "s4://bucket"`}},
		{"short bucket", "", map[string]string{"to": "s3://b"}, nil, []string{"--to: want s3://bucket"}},
		{"file URL", "", map[string]string{"to": "file://dir"}, nil, []string{"--to: want s3://bucket"}},
		{"endpoint", "", map[string]string{"endpoint": "host:9000"}, nil, []string{"--endpoint: want a URL such as https://host[:port]"}},
		{"keys", "", nil, map[string]string{"INDELIBLE_S3_KEYS": "hush"}, []string{"INDELIBLE_S3_KEYS: want id:secret pairs"}},
		{"key twice", "doors: {s3: {keys: {a: hush, b: ''}}}\n", nil, nil, []string{"F:1: doors.s3.keys: want id:secret pairs"}},
		{"lock", "destination: {url: 's3://abc', object_lock: {mode: governance}}\n", nil, nil, []string{"F:1: destination.object_lock needs both mode and retain"}},
		{"lock mode", "destination: {url: 's3://abc', object_lock: {mode: governence, retain: 1d}}\n", nil, nil, []string{`F:1: destination.object_lock.mode: want governance, compliance (did you mean governance?)`}},
		{"kms", "destination: {url: 's3://abc', kms_key_id: k}\n", nil, nil, []string{"F:1: destination.kms_key_id needs destination.sse: aws:kms"}},
		{"not for files", "destination: {storage_class: GLACIER}\n", nil, nil, []string{"F:1: destination.storage_class is for s3:// destinations"}},
		{"half tls", "doors: {s3: {tls: {cert: c}}}\n", nil, nil, []string{"F:1: doors.s3.tls needs both cert and key"}},
		{"backoff", "upload: {backoff_min: 1m}\n", nil, nil, []string{"F:1: upload.backoff_min 1m is more than upload.backoff_max 30s"}},
		{"same address", "", map[string]string{"s3": "127.0.0.1:9001"}, nil, []string{"doors.s3.listen and admin.listen are both 127.0.0.1:9001"}},
		{"own door", "", map[string]string{"to": "s3://abc", "endpoint": "http://127.0.0.1:9000"}, nil, []string{"--endpoint: destination.endpoint http://127.0.0.1:9000 is this daemon's own S3 door"}},
		{"open doors", "", map[string]string{"s3": ":9000", "http": "0.0.0.0:1", "admin": "example.com:3"}, nil, []string{"--s3: ", "--http: ", "--admin: "}},
		{"below pack", "pack: {max_agge: 1s}\n", nil, nil, []string{"F:1: unknown field \"max_agge\" below pack (did you mean \"max_age\"?)"}},
		{"key with an unknown field", "doors: {s3: {keys: [{id: a, secret: hush, nmae: b}]}}\n", nil, nil, []string{"F:1: doors.s3.keys: a field is unknown (did you mean \"name\"?)"}},
		{"key that is a field", "doors: {s3: {keys: [{hush: hush}]}}\n", nil, nil, []string{"F:1: doors.s3.keys: a field is unknown; known are id, name, secret, team"}},
		{"token as a name", "doors: {http: {tokens: {hush: a}}}\n", nil, nil, []string{"F:1: doors.http.tokens: want a list of tokens, or of {token, name, team}"}},
		{"name that is no name", "doors: {http: {tokens: [{token: hush, name: 'a b'}]}}\n", nil, nil, []string{"F:1: doors.http.tokens: name: want up to 64 letters"}},
		{"name that is the secret", "doors: {http: {tokens: [{token: hush, name: hush}]}}\n", nil, nil, []string{"F:1: doors.http.tokens: name is the secret itself"}},
		{"team alone", "doors: {http: {tokens: [{token: hush, team: a}]}}\n", nil, nil, []string{"F:1: doors.http.tokens: team needs a name"}},
		{"keys and trust", "doors: {s3: {trust: true, keys: [{id: a, secret: hush}]}}\n", nil, nil, []string{"F:1: doors.s3.trust: true and doors.s3.keys contradict each other"}},
		{"log name", "proof: {name: 'a b'}\n", nil, nil, []string{"F:1: proof.name: want up to 200 letters"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := writeConfig(t, tt.yaml)
			_, err := Load(Input{File: file, Flags: tt.flags, Env: environment(tt.env)})
			if err == nil {
				t.Fatal("no mistake found")
			}
			got := strings.Split(strings.ReplaceAll(err.Error(), file, "F"), "\n")
			if len(got) != len(tt.want) {
				t.Fatalf("%d mistakes, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
			for _, err := range append(unjoin(err), err) {
				mistake, _ := errors.AsType[*Error](err)
				if strings.Contains(err.Error()+mistake.Excerpt, "hush") {
					t.Errorf("the error tells a secret: %v\n%s", err, mistake.Excerpt)
				}
			}
		})
	}
}

// unjoin are the errors that were joined.
func unjoin(err error) (errs []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			errs = append(errs, unjoin(err)...)
		}
		return errs
	}
	return []error{err}
}

// A mistake in the file is shown with a caret, as far as that shows no secret.
func TestExcerpts(t *testing.T) {
	file := writeConfig(t, "doors:\n  s3:\n    max_hold:  soon # s\n    keys: [hush]\n    lisen: hush\n  http: {tokens: [hush, ''], max_hold: soon}\nadmin:\n  tokn: hush\n")
	_, err := Load(Input{File: file, Env: environment(nil)})
	var got []string
	for _, err := range unjoin(err) {
		mistake, _ := errors.AsType[*Error](err)
		got = append(got, mistake.Excerpt)
	}
	want := []string{"    max_hold:  soon\n               ^", "", "    lisen\n    ^", "", "", "  tokn\n  ^"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q\n%v", got, want, err)
	}
}

func TestOpenDoorsWithCredentials(t *testing.T) {
	_, err := Load(Input{
		File:  writeConfig(t, "doors: {s3: {trust: true}}\n"),
		Flags: map[string]string{"s3": "0.0.0.0:9000", "http": ":4318", "proxy": "off", "admin": ":9001"},
		Env:   environment(map[string]string{"INDELIBLE_HTTP_TOKENS": "t", "INDELIBLE_ADMIN_TOKEN": "t"}),
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMissingFile(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := Load(Input{Env: environment(nil)}); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if _, err := Load(Input{File: "nope.yaml", Env: environment(nil)}); err == nil {
		t.Error("a file that was asked for and is not there is no error")
	}
	if err := os.WriteFile("indelible.yaml", []byte("log: {level: warn}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load(Input{Env: environment(nil)})
	if err != nil || l.Config.Log.Level != "warn" {
		t.Errorf("indelible.yaml in the working directory was not read: %v", err)
	}
}

// "index: off" is short for "index: {mode: off}"; and index.text stands below it.
func TestIndexOff(t *testing.T) {
	for text, want := range map[string]Index{
		"index: off\n":                  {Mode: "off", Text: "fields"},
		"index: on\n":                   {Mode: "on", Text: "fields"},
		"index: {text: body}\n":         {Mode: "on", Text: "body"},
		"index:\n  mode: off\n":         {Mode: "off", Text: "fields"},
		"index: ${MODE}\n":              {Mode: "off", Text: "fields"},
		"index: {mode: off, text: off}": {Mode: "off", Text: "off"},
	} {
		file := filepath.Join(t.TempDir(), "indelible.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load(Input{File: file, Env: func(name string) (string, bool) { return "off", name == "MODE" }})
		if err != nil || l.Config.Index != want {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
}
