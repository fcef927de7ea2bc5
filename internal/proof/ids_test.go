package proof

import (
	"fmt"
	"strings"
	"testing"
)

func TestReadIDs(t *testing.T) {
	for _, c := range []struct {
		name, text string
		f          IDFormat
		want       string
		fails      string
	}{
		{name: "ids", text: "a\n\n b \nc", f: IDFormat{Form: "ids"}, want: "a b c"},
		{name: "csv of SpendLogs", text: "\ufeffrequest_id,startTime,spend\nchatcmpl-1,2026-11-24 08:00:00.123,0.1\n\"x,y\",2026-11-24T09:00:00+00:00,1\n", f: IDFormat{Form: "csv"}, want: "chatcmpl-1@8 x,y@9"},
		{name: "csv with a column named", text: "a;b,who\n1,w\n", f: IDFormat{Form: "csv", Column: "who"}, want: "w"},
		{name: "csv without", text: "a,b\n1,2\n", f: IDFormat{Form: "csv"}, fails: "--column"},
		{name: "csv broken", text: "id\n\"a\n", f: IDFormat{Form: "csv"}, fails: "read ids"},
		{name: "ndjson", text: `{"id":"a","time":"2026-11-24T08:00:00Z"}` + "\n" + `{"request_id":"b"}`, f: IDFormat{Form: "ndjson"}, want: "a@8 b"},
		{name: "ndjson without", text: `{"id":7}`, f: IDFormat{Form: "ndjson"}, fails: "value 1"},
		{name: "unknown", f: IDFormat{Form: "xml"}, fails: "unknown format"},
	} {
		var got []string
		var failed error
		for id, err := range ReadIDs(strings.NewReader(c.text), c.f) {
			if err != nil {
				failed = err
				break
			}
			s := id.ID
			if !id.Time.IsZero() {
				s += fmt.Sprintf("@%d", id.Time.Hour())
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != c.want || (failed == nil) != (c.fails == "") || failed != nil && !strings.Contains(failed.Error(), c.fails) {
			t.Errorf("%s: %q, %v", c.name, got, failed)
		}
	}
}
