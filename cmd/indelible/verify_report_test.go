package main

import (
	"strings"
	"testing"

	"indelible/internal/proof"
)

// Other logs under the prefix are told of by the objects they name, and not at all where they name none.
func TestReportOfOtherLogs(t *testing.T) {
	for of, want := range map[int64]string{0: "", 2: "2 objects more under this prefix, by what log other names"} {
		var b strings.Builder
		if err := printReport(&b, &proof.Report{OtherLogs: []string{"other"}, OfOtherLogs: of}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "under this prefix"); got != (want != "") || !strings.Contains(b.String(), want) {
			t.Errorf("of %d objects: %s", of, b.String())
		}
	}
}
