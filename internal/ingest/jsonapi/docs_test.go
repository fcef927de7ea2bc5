package jsonapi_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"indelible/internal/ingest/jsonapi"
)

// The examples of docs/json-door.md run as written, but for the address.
func TestDocumentedExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl")
	}
	doc, err := os.ReadFile("../../../docs/json-door.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(o *jsonapi.Options) { o.LogName = "test" })
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	records := 0
	for _, block := range blocks {
		command := strings.ReplaceAll(block[1], "http://127.0.0.1:4318", b.url)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput()
		n := strings.Count(command, `"id"`) + strings.Count(command, `"event"`)
		records += n
		if want := regexp.MustCompile(`^\{"log":"test","first":\d+,"count":` + string(rune('0'+n)) + `\}\n$`); err != nil || !want.Match(out) {
			t.Errorf("%s\n%v: %s", command, err, out)
		}
	}
	if got := b.stored(); len(blocks) != 5 || len(got) != records || records != 7 {
		t.Errorf("%d examples, %d records, want %d: %q", len(blocks), len(got), records, got)
	}
}
