package jsonapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/testserver"
)

// zone is LiteLLM's time zone in these tests, which is nobody's: as TZ has it, and as we have it.
const zone = "XXX-5:45"

var location = time.FixedZone("XXX", 5*3600+45*60)

// said is a line of testdata/generic_api.py.
type said struct {
	Form, Key, Body string
	Params          struct {
		Path        string `json:"s3_path"`
		Team        bool   `json:"s3_use_team_prefix"`
		Key         bool   `json:"s3_use_key_prefix"`
		Granularity string `json:"s3_partition_granularity"`
	}
}

func liteLLM(t *testing.T, args ...string) (lines []said) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs Python")
	}
	python := testserver.Python(t, "testdata/requirements-litellm.txt")
	cmd := exec.CommandContext(t.Context(), python, append([]string{"testdata/generic_api.py"}, args...)...)
	cmd.Env = append(os.Environ(), "TZ="+zone, "AWS_EC2_METADATA_DISABLED=true", "PYTHONIOENCODING=utf-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for line := range bytes.Lines(out) {
		var s said
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		lines = append(lines, s)
	}
	return lines
}

// LiteLLM's own generic_api callback, as it is: what it sends is kept byte for
// byte as s3_v2 would have written it, under the key that s3_v2 would have used.
func TestGenericAPI(t *testing.T) {
	benches, args := map[string]*bench{}, []string{"hush"}
	for _, form := range []string{"json_array", "ndjson", "single"} {
		b := newBench(t, func(o *jsonapi.Options) {
			o.Tokens = []ingest.Token{{Secret: "hush"}}
			o.Keys = jsonapi.Keys{Path: "logs//", TeamPrefix: true, KeyPrefix: true, Hours: true, Location: location}
		})
		benches[form] = b
		args = append(args, form+"="+b.url+jsonapi.Path)
	}
	want, failures := map[string][]string{}, map[string]int{}
	for _, l := range liteLLM(t, args...) {
		want[l.Form] = append(want[l.Form], l.Key+" "+l.Body)
		if strings.Contains(l.Body, `"status": "failure"`) {
			failures[l.Form]++
		}
	}
	for form, b := range benches {
		got, want := b.stored(), want[form]
		slices.Sort(want)
		slices.Sort(got)
		if len(want) != 12 || failures[form] != 4 {
			t.Fatalf("%s: LiteLLM logged %d events, %d failures", form, len(want), failures[form])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d records, want %d\n%.2000s\nwant\n%.2000s", form, len(got), len(want), got, want)
		}
		if !strings.HasPrefix(want[0], "logs/Team A/b/key: 1/20") {
			t.Errorf("%s: no key of these options: %.200s", form, want[0])
		}
		if s := b.door.Stats(); s.Acked != 12 || s.Flagged != 0 || len(s.Refused) != 0 {
			t.Errorf("%s: %+v", form, s)
		}
	}
}

// Keys at their edges are s3_v2's.
func TestKeysAreLiteLLMs(t *testing.T) {
	lines := liteLLM(t, "keys")
	if len(lines) != 9 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		b := newBench(t, func(o *jsonapi.Options) {
			o.Keys = jsonapi.Keys{Path: l.Params.Path, TeamPrefix: l.Params.Team, KeyPrefix: l.Params.Key, Hours: l.Params.Granularity == "hour", Location: location}
		})
		if r := b.post([]byte(l.Body)); r.status != 200 {
			t.Fatalf("%+v", r)
		}
		if got, want := b.stored()[0], l.Key+" "+l.Body; got != want {
			t.Errorf("%.1200s\nwant\n%.1200s", got, want)
		}
	}
}
