package sigv4

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// captureTime is the clock of testdata/capture.py, which made testdata/captures.
var captureTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const captureBody = `{"id":"resp_1","response":"hello"}`

// captured reads all captures by name.
func captured(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	captures := map[string][]byte{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		captures[strings.TrimSuffix(filepath.Base(file), ".http")] = raw
	}
	return captures
}

func readRequest(t testing.TB, raw []byte) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCaptures: what LiteLLM of both generations and boto3 put on the wire, for
// keys with every odd character, is authentic and arrives whole.
func TestCaptures(t *testing.T) {
	for name, raw := range captured(t) {
		t.Run(name, func(t *testing.T) {
			v := verifierAt(captureTime)
			v.Trust = strings.Contains(name, "unsigned")
			r := readRequest(t, raw)
			a, body, _, err := receive(v, r)
			if name == "litellm1109-dots" {
				// Its HTTP library takes the dots out after the path was signed: nobody can tell what it was.
				wantError(t, err, 403, "SignatureDoesNotMatch")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if a.Signed == v.Trust || !v.Trust && a.KeyID != exampleID {
				t.Errorf("auth = %+v", a)
			}
			if want := captureBody; r.Method == http.MethodPut && body != want {
				t.Errorf("body = %q, want %q", body, want)
			}
		})
	}
}
