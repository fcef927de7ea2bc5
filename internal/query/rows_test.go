package query_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/fields"
	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// day is when the first row of a test's pack arrives.
var day = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// mixed is record n of a pack in which everything occurs that a row may be: a call, one without fields, a batch, lines, names that are no UTF-8.
func mixed(r *rand.Rand, n int) (info record.Info, body []byte) {
	one := func(i int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"id":"id-%d-%d"`, n, i)
		for name, values := range map[string][]string{
			"model": {"gpt-5", "GPT-5 mini", "claude"}, "status": {"success", "failure"}, "litellm_call_id": {"call-1", "call-2"}, "user": {"Zoë", "ann"},
		} {
			if r.IntN(4) > 0 {
				fmt.Fprintf(&b, `,%q:%q`, name, values[r.IntN(len(values))])
			}
		}
		if r.IntN(3) > 0 {
			fmt.Fprintf(&b, `,"metadata":{"user_api_key_team_alias":"team-%d"},"request_tags":["prod","t%d"],"response_cost":0.%d,"prompt_tokens":%d,"stream":%v,"startTime":%d.25`, r.IntN(3), r.IntN(3), r.IntN(9), r.IntN(100), r.IntN(2) == 0, 1793491200+n)
		}
		return b.String() + `,"messages":[{"role":"user","content":"The Refund policy"}]}`
	}
	key := fmt.Sprintf("2026-11-29/%d.json", n)
	text := one(0)
	switch r.IntN(12) {
	case 0:
		key, text = fmt.Sprintf("b/%d.jsonl", n), one(0)+"\n\n"+one(1)+"\nno JSON\n"
	case 1:
		text = "[" + one(0) + "," + one(1) + "]"
	case 2:
		text = "no JSON: failure gpt-5"
	case 3:
		key = fmt.Sprintf("k\xff%d", n)
	case 4:
		text = "[" + one(0) + "]"
	case 5:
		key, text = fmt.Sprintf("b/%d.ndjson", n), one(0)
	}
	body = []byte(text)
	return record.Info{Seq: record.Seq(n), Time: day.Add(time.Duration(n) * time.Second), Door: []string{"s3", "http"}[r.IntN(2)], Source: "ann", Bucket: "audit", Key: key, Size: int64(len(body)), Digest: sha256.Sum256(body)}, body
}

// packOf stores records in one pack, each group of them in a row group of its own, and returns its key.
func packOf(t testing.TB, st store.Store, names layout.Objects, infos []record.Info, bodies [][]byte) string {
	t.Helper()
	var b bytes.Buffer
	w, err := pack.NewWriter(&b, pack.Options{Log: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for i, info := range infos {
		if err := w.Add(&pack.Row{Info: info, Key: names.Key(info.Bucket, info.Key), Body: bodies[i]}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	first, last := infos[0], infos[len(infos)-1]
	o := names.Pack(record.Pack{First: first.Seq, Last: last.Seq, Time: first.Time, Key: names.PackKey("test", first.Seq, last.Seq, first.Time), Size: int64(b.Len()), Digest: sha256.Sum256(b.Bytes())}, "test")
	o.Body = bytes.NewReader(b.Bytes())
	if _, err := st.Put(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	return o.Key
}

// calls are the calls of a record as the index has them.
func calls(info record.Info, body []byte) (rows []filter.Row) {
	if !query.HoldsLines(info.Key) {
		return []filter.Row{{Info: info, Fields: fields.Extract(body)}}
	}
	for line := range bytes.Lines(body) {
		if len(bytes.TrimSpace(line)) > 0 {
			rows = append(rows, filter.Row{Info: info, Line: len(rows) + 1, Fields: fields.Extract(line)})
		}
	}
	return rows
}

// A walk leaves out no row of which a call matches, in either direction, and tells of each row what is in its body.
func TestRowsThatMatch(t *testing.T) {
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	st := dir.Open(crashdisk.New())
	const n = 4400 // two row groups
	r := rand.New(rand.NewPCG(7, 8))
	var infos []record.Info
	var bodies [][]byte
	for i := range n {
		info, body := mixed(r, i+1)
		infos, bodies = append(infos, info), append(bodies, body)
	}
	key := packOf(t, st, names, infos, bodies)
	reader := query.New(pending{}, st, names).WithPacks()
	all, words, inBodies := make([][]filter.Row, n), make([][][]string, n), make([][][]string, n)
	for i := range infos {
		all[i] = calls(infos[i], bodies[i])
		for j := range all[i] {
			all[i][j].State = record.Proven
			words[i] = append(words[i], filter.Words(filter.FieldText(&all[i][j])))
			inBodies[i] = append(inBodies[i], filter.Words(filter.FieldText(&all[i][j])+filter.BodyText(bodies[i], 1<<20)))
		}
	}
	for _, expr := range []string{
		"", "team=team-1", "team!=team-1", "team=", "team!=", "model~gpt", "model!~GPT", "model=gpt-5 status=failure", "cost>0.5", "cost!=0.5", "tokens_in<=50", "stream=true", "stream!=true",
		"tags=t1", "tags!=t1", "tags~T", "tags=", "start>=2026-11-01", "start<2026-11-01", "since=2026-11-29T09:00:00Z", "until=2026-11-29T09:00:00Z", "time=2026-11-29T08:00:05Z", "seq>8000", "seq=17", "size>300",
		"door=http", "source=ann", "bucket!=audit", "key~JSONL", "key=2026-11-29/12.json", "sha256~ab", "id=id-77-0", "id=id-77-1", "call_id=call-1", "state=proven", "user=Zoë", "error_code=",
		"failure", "zoë", `"gpt 5"`, "gpt*", "team-1 claude", "id-80-0", "call-1", "nothing", "prod",
		"bodies refund", `bodies "refund policy"`, "bodies gpt-5 refund*", "bodies nothing", "bodies team-1 policy", "bodies status=failure zoë",
	} {
		expr, inBody := strings.CutPrefix(expr, "bodies ")
		words := words
		if inBody {
			words = inBodies
		}
		f, err := filter.Parse([]string{expr}, day)
		if err != nil {
			t.Fatal(err)
		}
		want := map[record.Seq]bool{}
		for i := range infos {
			for j := range all[i] {
				if f.Match(&all[i][j], func() []string { return words[i][j] }) {
					want[infos[i].Seq] = true
				}
			}
		}
		for _, back := range []bool{false, true} {
			given, passed := map[record.Seq]bool{}, 0
			last := record.Seq(0)
			for row, err := range reader.Rows(t.Context(), key, "", query.Walk{From: 1, Upto: n, Back: back, Filter: f, Bodies: inBody, Passed: func(n int) { passed += n }}) {
				if err != nil {
					t.Fatal(err)
				}
				if last > 0 && row.Seq < last != back {
					t.Fatalf("%q: row %d behind %d", expr, row.Seq, last)
				}
				given[row.Seq], last = true, row.Seq
				info := row.Info
				info.Attrs = nil
				if want := infos[row.Seq-1]; info.Time != want.Time || fmt.Sprint(info) != fmt.Sprint(want) {
					t.Fatalf("%q: %+v, want %+v", expr, info, want)
				}
				calls := all[row.Seq-1]
				if row.Fields == nil {
					continue
				}
				if len(calls) != 1 || calls[0].Line != 0 || !sameFields(*row.Fields, calls[0].Fields) {
					t.Fatalf("%q: row %d says to hold one call with other fields than its body has", expr, row.Seq)
				}
				if !want[row.Seq] && !f.HasWords() {
					t.Errorf("%q, back %v: record %d does not match, and is not left out", expr, back, row.Seq)
				}
			}
			for seq := range want {
				if !given[seq] {
					t.Errorf("%q, back %v: record %d matches and is left out", expr, back, seq)
				}
			}
			if !f.Asks("time") && len(given)+passed != n {
				t.Errorf("%q, back %v: %d rows and %d left out of %d", expr, back, len(given), passed, n)
			}
		}
	}
	for row, err := range reader.Rows(t.Context(), key, "", query.Walk{From: 4000, Upto: 4200, Back: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Seq < 4000 || row.Seq > 4200 {
			t.Fatalf("row %d", row.Seq)
		}
		if body, err := bodyOf(row.Entry); err != nil || !bytes.Equal(body, bodies[row.Seq-1]) {
			t.Fatalf("row %d: another body: %v", row.Seq, err)
		}
	}
}

func sameFields(a, b fields.Fields) bool {
	all := func(f *fields.Fields) (list []string) {
		for name, v := range f.All() {
			list = append(list, fmt.Sprintf("%s=%v", name, v))
		}
		return list
	}
	return slices.Equal(all(&a), all(&b))
}

func bodyOf(e record.Entry) ([]byte, error) {
	r, err := e.Open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// A walk that asks for some fields has these, and of rows whose columns do not tell it has all.
func TestRowsOfSomeFields(t *testing.T) {
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	st := dir.Open(crashdisk.New())
	r := rand.New(rand.NewPCG(9, 9))
	var infos []record.Info
	var bodies [][]byte
	for i := range 500 {
		info, body := mixed(r, i+1)
		infos, bodies = append(infos, info), append(bodies, body)
	}
	key := packOf(t, st, names, infos, bodies)
	reader := query.New(pending{}, st, names).WithPacks()
	var wg sync.WaitGroup // entries may be opened by several goroutines
	for row, err := range reader.Rows(t.Context(), key, "", query.Walk{From: 1, Upto: 500, Only: []string{"team", "cost", "sent_key"}}) {
		if err != nil {
			t.Fatal(err)
		}
		want := calls(infos[row.Seq-1], bodies[row.Seq-1])
		if row.Fields == nil {
			wg.Go(func() {
				if body, err := bodyOf(row.Entry); err != nil || !bytes.Equal(body, bodies[row.Seq-1]) {
					t.Errorf("row %d: another body: %v", row.Seq, err)
				}
			})
			continue
		}
		if f := want[0].Fields; fmt.Sprint(row.Fields.Team == nil) != fmt.Sprint(f.Team == nil) || f.Team != nil && *f.Team != *row.Fields.Team || f.Cost != nil && *f.Cost != *row.Fields.Cost || row.Fields.Model != nil || !row.Time.Equal(infos[row.Seq-1].Time) {
			t.Errorf("row %d: %+v, want team and cost of %+v", row.Seq, row.Fields, f)
		}
	}
	wg.Wait()
}
