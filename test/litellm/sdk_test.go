package litellm_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	callback "indelible/integrations/litellm"
	"indelible/internal/testserver"
	"indelible/internal/torture"
)

// TestExits has synchronous callers end with os._exit(9) right after each answer.
func TestExits(t *testing.T) {
	python := needLiteLLM(t)
	exits := torture.Share(30, 30, 120) // processes, each of which costs a fork of LiteLLM
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	out := script(t, python, h, "testdata/exits.py", fmt.Sprint(exits))
	h.delivered()
	got := records(t, s3)
	calls := strings.Split(strings.TrimSpace(out), "\n")
	if len(calls) != exits {
		t.Errorf("%d calls, not %d", len(calls), exits)
	}
	for _, call := range calls {
		shape, id, _ := strings.Cut(call, " ")
		if got[id] != 1 {
			t.Errorf("%d records of the %s call %s", got[id], shape, id)
		}
	}
}

// TestDocumented runs every Python program of docs/litellm.md as it is written.
func TestDocumented(t *testing.T) {
	python := needLiteLLM(t)
	doc, err := os.ReadFile("../../docs/litellm.md")
	if err != nil {
		t.Fatal(err)
	}
	programs := regexp.MustCompile("(?s)```python\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(programs) < 2 {
		t.Fatalf("docs/litellm.md has %d Python programs", len(programs))
	}
	for i, p := range programs {
		s3 := testserver.Versitygw(t)
		h := newHouse(t, s3.Endpoint, s3)
		name := filepath.Join(t.TempDir(), "program.py")
		if err := os.WriteFile(name, []byte(p[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		out := script(t, python, h, name)
		h.delivered()
		if got, want := len(records(t, s3)), strings.Count(out, "answer: "); got != want || want == 0 {
			t.Errorf("program %d printed %d answers and left %d records:\n%s", i+1, want, got, out)
		}
	}
}

// TestBeside compares with s3_v2: the same bytes under the same key where both
// run, and the same payload where s3_v2 runs alone.
func TestBeside(t *testing.T) {
	python := needLiteLLM(t)
	s3 := testserver.Versitygw(t)
	h := newHouse(t, s3.Endpoint, s3)
	out := script(t, python, h, "testdata/beside.py", "http://"+h.doorS3)
	h.delivered()

	byBucket := objects(t, s3) // sender's bucket, then call
	beside := byBucket["beside"]
	delete(byBucket, "beside")
	if len(byBucket) != 1 {
		t.Fatalf("records under %d other buckets, not one", len(byBucket))
	}
	ours := slices.Collect(maps.Values(byBucket))[0]
	alone := map[string][]object{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		theirs := beside[f[2]]
		if len(theirs) != 1 {
			t.Errorf("%s: %d records of s3_v2", line, len(theirs))
			continue
		}
		if f[0] == "alone" {
			alone[f[1]] = append(alone[f[1]], theirs[0])
			if len(ours[f[2]]) != 0 {
				t.Errorf("%s: a record of ours", line)
			}
			continue
		}
		switch mine := ours[f[2]]; {
		case len(mine) != 1:
			t.Errorf("%s: %d records of ours", line, len(mine))
		case mine[0].key != theirs[0].key:
			t.Errorf("%s: our key %s, s3_v2's %s", line, mine[0].key, theirs[0].key)
		case string(mine[0].body) != string(theirs[0].body):
			t.Errorf("%s: other bytes\n%s\n%s", line, mine[0].body, theirs[0].body)
		default:
			same(t, f[1], mine[0].body, alone[f[1]][len(alone[f[1]])-1].body)
		}
	}
}

// volatile are the fields that differ between any two calls.
var volatile = []string{"id", "litellm_call_id", "trace_id", "startTime", "endTime", "completionStartTime", "response_time", "created", "litellm_overhead_time_ms", "_response_ms", "traceback", "model_id", "session_id", "litellm_model_name", "callback_duration_ms"}

// same compares two payloads field by field.
func same(t *testing.T, shape string, ours, alone []byte) {
	t.Helper()
	var a, b map[string]any
	if err := json.Unmarshal(ours, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(alone, &b); err != nil {
		t.Fatal(err)
	}
	if len(a) < 40 {
		t.Errorf("%s: only %d fields", shape, len(a))
	}
	if shape == "router" { // litellm.Router adds headers of its own only after the record must be there
		delete(a["hidden_params"].(map[string]any), "additional_headers")
		delete(b["hidden_params"].(map[string]any), "additional_headers")
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if x, y := settle(a[name]), settle(b[name]); !slices.Contains(volatile, name) && !reflect.DeepEqual(x, y) {
			t.Errorf("%s: %s is\n%v with the callback, and\n%v without", shape, name, x, y)
		}
	}
	if len(a) != len(b) {
		t.Errorf("%s: %d fields with the callback, %d without", shape, len(a), len(b))
	}
}

// settle takes the volatile fields out of a value.
func settle(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if slices.Contains(volatile, name) {
				v[name] = v[name] != nil
			} else {
				v[name] = settle(v[name])
			}
		}
	case []any:
		for i := range v {
			v[i] = settle(v[i])
		}
	}
	return v
}

// script runs a Python program beside the callback, and returns what it printed.
func script(t *testing.T, python string, h *house, name string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{"program.py": program, callback.CallbackName: callback.Callback} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{"program.py"}, args...)...)
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "INDELIBLE_URL=http://"+h.door, "LITELLM_LOCAL_MODEL_COST_MAP=True"), &stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() != 9 {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	return string(out)
}

type object struct {
	key  string
	body []byte
}

// objects are the records in the bucket, by the sender's bucket and call.
func objects(t *testing.T, s3 *testserver.Server) map[string]map[string][]object {
	t.Helper()
	got := map[string]map[string][]object{}
	root := filepath.Join(s3.Root, s3.Bucket)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		bucket, key, _ := strings.Cut(filepath.ToSlash(strings.TrimPrefix(name, root+string(filepath.Separator))), "/")
		if bucket == "_indelible" || strings.HasPrefix(bucket, ".") {
			return nil
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var record struct {
			Call string `json:"litellm_call_id"`
		}
		if err := json.Unmarshal(body, &record); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got[bucket] == nil {
			got[bucket] = map[string][]object{}
		}
		got[bucket][record.Call] = append(got[bucket][record.Call], object{key: key, body: body})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
