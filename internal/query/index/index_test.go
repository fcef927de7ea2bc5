package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/fields"
	"indelible/internal/query"
	"indelible/internal/query/filter"
	"indelible/internal/record"
	"indelible/internal/torture"
)

// begin is when the first record of a test's log arrives.
var begin = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// logOf is a log in memory.
type logOf struct {
	mu     sync.Mutex
	bodies []string
	keys   []string
	unread map[record.Seq]bool
	lost   map[record.Seq]bool
	grown  chan struct{}
	walks  int // how often Rows was called
}

func newLog(bodies ...string) *logOf {
	l := &logOf{unread: map[record.Seq]bool{}, lost: map[record.Seq]bool{}, grown: make(chan struct{})}
	for _, b := range bodies {
		l.append(fmt.Sprintf("2026-11-01/%d.json", len(l.bodies)+1), b)
	}
	return l
}

func (l *logOf) append(key, body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys, l.bodies = append(l.keys, key), append(l.bodies, body)
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *logOf) Wait(ctx context.Context, after record.Seq) (record.Seq, error) {
	for {
		l.mu.Lock()
		n, grown := record.Seq(len(l.bodies)), l.grown
		l.mu.Unlock()
		if n > after {
			return n, nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

func (l *logOf) Rows(_ context.Context, from, upto record.Seq) iter.Seq2[query.Row, error] {
	l.mu.Lock()
	l.walks++
	l.mu.Unlock()
	return func(yield func(query.Row, error) bool) {
		for seq := from; seq <= upto; seq++ {
			l.mu.Lock()
			body, key, unread, lost := l.bodies[seq-1], l.keys[seq-1], l.unread[seq], l.lost[seq]
			l.mu.Unlock()
			var err error
			if unread {
				err = &record.ReadError{Seq: seq, Err: errors.New("I/O error")}
			} else if lost {
				err = &record.GapError{First: seq, Last: seq}
			}
			e := query.Row{Entry: record.Entry{Info: record.Info{
				Seq: seq, Time: begin.Add(time.Duration(seq) * time.Minute), Door: "s3", Bucket: "audit", Key: key, Size: int64(len(body)), Digest: sha256.Sum256([]byte(body)),
			}, Open: func() (io.ReadSeekCloser, error) { return closer{strings.NewReader(body)}, nil }}}
			if !yield(e, err) {
				return
			}
		}
	}
}

type closer struct{ io.ReadSeeker }

func (closer) Close() error { return nil }

// payload is a record as LiteLLM writes it, in short.
func payload(id, team, model, status string, cost float64, text string) string {
	return fmt.Sprintf(`{"id":%q,"litellm_call_id":"call-%s","trace_id":"trace-%s","model":%q,"status":%q,"response_cost":%g,"prompt_tokens":10,"completion_tokens":20,"request_tags":["prod","eu"],"startTime":1793491200.5,"stream":true,"metadata":{"user_api_key_team_alias":%q},"messages":[{"role":"user","content":%q}]}`,
		id, id, id, model, status, cost, team, text)
}

// running starts the index of a log; it is stopped by stop, or with the test.
func running(t *testing.T, l *logOf, o Options) (x *Index, stop func()) {
	t.Helper()
	if o.Log == "" {
		o.Log = "test"
	}
	x = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx, l) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return x, stop
}

// reaches waits until the index knows the log up to seq.
func reaches(t *testing.T, x *Index, seq record.Seq) {
	t.Helper()
	var last record.Seq
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		at, err := x.Position(t.Context())
		if err == nil && at >= seq {
			return
		}
		if at > last { // a busy machine is slow, and goes on
			last, end = at, time.Now().Add(time.Minute)
		}
		if time.Now().After(end) {
			t.Fatalf("the index is at %d (%v), want %d", at, err, seq)
		}
	}
}

// knows is the seq up to which the index knows the log.
func knows(t *testing.T, x *Index) record.Seq {
	t.Helper()
	at, err := x.Position(t.Context())
	must(t, err)
	return at
}

func search(t *testing.T, x *Index, args ...string) (seqs []record.Seq) {
	t.Helper()
	f, err := filter.Parse(args, begin.Add(48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Search(t.Context(), f, knows(t, x), func(r filter.Row) bool { seqs = append(seqs, r.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	return seqs
}

func find(t *testing.T, x *Index, name string) (seqs []record.Seq) {
	t.Helper()
	if err := x.Named(t.Context(), name, func(r filter.Row) bool { seqs = append(seqs, r.Seq); return true }); err != nil {
		t.Fatal(err)
	}
	return seqs
}

func three() *logOf {
	return newLog(
		payload("a1", "alpha", "gpt-5", "success", 0.5, "the refund policy"),
		payload("b2", "beta", "GPT-5-mini", "failure", 0, "policy of refund"),
		payload("a3", "alpha", "claude", "success", 0.25, "nothing"),
	)
}

// What the index answers is what the filter says of the rows: both were asked for each expression.
func TestSearchIsWhatTheFilterSays(t *testing.T) {
	l := three()
	l.append("no-json", "just \x00 bytes \xff")
	l.append("x/batch_12-00-00_ab.jsonl", payload("l1", "beta", "gpt-5", "success", 1, "line one")+"\n"+payload("l2", "alpha", "o9", "success", 2, "line two"))
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File), Text: TextBody})
	reaches(t, x, 5)
	var rows []filter.Row
	var bodies []string
	for e := range l.Rows(t.Context(), 1, 5) {
		Calls(e, true, func(line int, f fields.Fields, b []byte) {
			rows = append(rows, filter.Row{Info: e.Info, Line: line, Fields: f})
			bodies = append(bodies, string(b))
		})
	}
	exprs := []string{
		"team=alpha", "team!=alpha", "team=", "team!=", "team~ALP", "team!~alp", "model~gpt", "model=gpt-5", "cost>0.1", "cost>=0.5", "cost<1", "cost!=0", "cost<=0.25",
		"tokens_out>=20", "status=failure", "status=failure team=beta", "start>=2026-11-01", "start<2026-11-01", "start!=2026-11-01", "stream=true", "stream!=true", "stream=false",
		"tags=prod", "tags!=prod", "tags=pro", "tags~pro", "tags!~pro", "tags=", "tags!=", "seq=3", "seq>3", "seq<=2", "seq!=2", "seq>=2.5", "seq=2.5", "since=2026-11-01T00:03:00Z", "until=2026-11-01T00:03:00Z", "time=2026-11-01T00:03:00Z",
		"size>100", "door=s3", "source=", "key~BATCH", "bucket=audit", `"refund policy"`, "refund policy*", "refu*", "policy", "line", "user=x", "id=l2", "call_id=call-a1", `team="al'pha"`, "sha256~a", "error_code=",
	}
	for _, text := range exprs {
		f, err := filter.Parse([]string{text}, begin)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range rows {
			words := func() []string {
				return filter.Words(filter.FieldText(&rows[i]) + filter.BodyText([]byte(bodies[i]), 1<<20))
			}
			if f.Match(&rows[i], words) {
				want = append(want, fmt.Sprintf("%d.%d", rows[i].Seq, rows[i].Line))
			}
		}
		slices.Reverse(want)
		var got []string
		if err := x.Search(t.Context(), f, knows(t, x), func(r filter.Row) bool { got = append(got, fmt.Sprintf("%d.%d", r.Seq, r.Line)); return true }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if f.HasWords() { // in several ranges of rows
			got = got[:0]
			err := x.with(func(d *db) error {
				return d.searchWords(t.Context(), f, knows(t, x), 1, func(r filter.Row) bool { got = append(got, fmt.Sprintf("%d.%d", r.Seq, r.Line)); return true })
			})
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the index has %v, the filter holds for %v", text, got, want)
		}
	}
}

func TestRowsComeBackWhole(t *testing.T) {
	l := three()
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, 3)
	for e := range l.Rows(t.Context(), 1, 1) {
		want := filter.Row{Info: e.Info}
		Calls(e, false, func(_ int, f fields.Fields, _ []byte) { want.Fields = f })
		err := x.Named(t.Context(), "a1", func(got filter.Row) bool {
			if g, w := dump(&got), dump(&want); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func dump(r *filter.Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v %d\n", r.Info, r.Line)
	for name, v := range r.Fields.All() {
		fmt.Fprintf(&b, "%s=%v\n", name, v)
	}
	return b.String()
}

func TestNames(t *testing.T) {
	long := "resp_" + strings.Repeat("x", 300)
	name := "time-10-00-00-000000_" + long
	sum := sha256.Sum256([]byte(name))
	l := newLog()
	l.append("2026-11-01/time-10-00-00-000000_chatcmpl-1.json", payload("chatcmpl-1", "a", "m", "success", 1, ""))
	l.append("2026-11-01/time-10-00-01-000000_chatcmpl-1.json", payload("chatcmpl-1", "a", "m", "success", 1, ""))
	l.append(fmt.Sprintf("2026-11-01/%s_%x.json", name[:64], sum), "no JSON")
	l.append("2026-11-01/time-10-00-02-000000_arn_aws_bedrock_1.json", `{"id":"arn:aws:bedrock/1"}`)
	l.append("b/batch_1.jsonl", `{"id":"in-1"}`+"\n"+`{"id":"in-2","trace_id":"t-2"}`)
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, 5)
	for id, want := range map[string][]record.Seq{
		"chatcmpl-1": {2, 1}, "call-chatcmpl-1": {2, 1}, "trace-chatcmpl-1": {2, 1}, long: {3}, "arn:aws:bedrock/1": {4}, "arn_aws_bedrock_1": {4},
		"in-2": {5}, "t-2": {5}, "b/batch_1.jsonl": {5}, "2026-11-01/time-10-00-00-000000_chatcmpl-1.json": {1}, "nothing": nil, "": nil, "' OR 1=1 --": nil,
	} {
		if got := find(t, x, id); !slices.Equal(got, want) {
			t.Errorf("%.40q is found in %v, want %v", id, got, want)
		}
	}
}

func TestInjectionIsText(t *testing.T) {
	l := three()
	evil := `'; DROP TABLE calls; --`
	l.append("evil", payload(evil, evil, `" OR 1=1 --`, "success", 1, evil))
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File), Text: TextBody})
	reaches(t, x, 4)
	for _, text := range []string{`team="` + evil + `"`, `model~"\" OR 1=1"`, `team~"';"`, `"DROP TABLE calls"`, `"calls\" OR text:x"`, `NEAR(a b)`, `a*b`, `"*"*`, `id="%" team="_"`, `model="\\"`, `team!~"%"`} {
		f, err := filter.Parse([]string{text}, begin)
		if err != nil {
			continue
		}
		if err := x.Search(t.Context(), f, knows(t, x), func(filter.Row) bool { return true }); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := search(t, x, `team="`+evil+`"`); !slices.Equal(got, []record.Seq{4}) {
		t.Errorf("found %v", got)
	}
	if got := search(t, x, `team~"%"`); got != nil {
		t.Errorf("%% is a letter, and found %v", got)
	}
	if got := search(t, x); len(got) != 4 {
		t.Errorf("%d rows are left", len(got))
	}
}

// Whatever happens to the file while nobody has it open, the next Run answers in full again, and tells once.
func TestTheFileIsDamaged(t *testing.T) {
	n := torture.RaceShare(300)
	damage := map[string]func(t *testing.T, path string){
		"removed":       func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"empty":         func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"half":          func(t *testing.T, path string) { must(t, os.Truncate(path, sizeOf(t, path)/2)) },
		"one byte less": func(t *testing.T, path string) { must(t, os.Truncate(path, sizeOf(t, path)-1)) },
		"no database": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("garbage "), 9000), 0o600))
		},
		"garbage from the second page on": func(t *testing.T, path string) {
			overwrite(t, path, 4096, sizeOf(t, path)-4096)
		},
		"garbage in the middle": func(t *testing.T, path string) { overwrite(t, path, sizeOf(t, path)/2, 20_000) },
		"zeroes in the middle": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt(make([]byte, 4096*6), sizeOf(t, path)/4096/2*4096)
			must(t, errors.Join(err, f.Close()))
		},
		"a stale log beside it": func(t *testing.T, path string) {
			must(t, errors.Join(os.WriteFile(path+"-wal", bytes.Repeat([]byte("x"), 50_000), 0o600), os.Remove(path)))
		},
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			l := newLog()
			for i := range n {
				l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), "alpha", "m", "success", 1, strings.Repeat("some words ", 40)))
			}
			path := filepath.Join(t.TempDir(), File)
			x, stop := running(t, l, Options{Path: path, Text: TextBody})
			reaches(t, x, record.Seq(n))
			stop()
			do(t, path)
			var out lockedBuffer
			x, _ = running(t, l, Options{Path: path, Text: TextBody, Logger: slog.New(slog.NewTextHandler(&out, nil))})
			reaches(t, x, record.Seq(n))
			if got := search(t, x, "team=alpha", "words"); len(got) != n {
				t.Errorf("%d of %d are found", len(got), n)
			}
			for i := range n {
				if got := find(t, x, fmt.Sprint("id-", i)); len(got) != 1 {
					t.Errorf("id-%d is found %d times", i, len(got))
				}
			}
			if said := strings.Count(out.String(), "level=WARN"); said > 1 {
				t.Errorf("%d warnings:\n%s", said, out.String())
			}
		})
	}
}

// The file is damaged or taken away under an index that runs.
func TestTheFileIsDamagedMeanwhile(t *testing.T) {
	l := newLog()
	for i := range 200 {
		l.append(fmt.Sprint("k", i), payload(fmt.Sprint("id-", i), "alpha", "m", "success", 1, ""))
	}
	path := filepath.Join(t.TempDir(), File)
	x, _ := running(t, l, Options{Path: path})
	reaches(t, x, 200)
	must(t, os.Remove(path))
	l.append("more", payload("id-more", "alpha", "m", "success", 1, ""))
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the file is not made again")
		}
	}
	reaches(t, x, 201)
	if got := search(t, x); len(got) != 201 {
		t.Errorf("%d of 201 are found", len(got))
	}
}

func TestOtherLogOrSettingRebuilds(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	x, stop := running(t, three(), Options{Path: path})
	reaches(t, x, 3)
	stop()
	x, stop = running(t, newLog("{}"), Options{Path: path, Log: "another"})
	reaches(t, x, 1)
	if got := search(t, x); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	stop()
	x, _ = running(t, newLog("{}", "{}"), Options{Path: path, Log: "another", Text: TextBody})
	reaches(t, x, 2)
}

func TestUnreadAndLostRecords(t *testing.T) {
	l := three()
	l.unread[2], l.lost[1] = true, true
	path := filepath.Join(t.TempDir(), File)
	x, stop := running(t, l, Options{Path: path})
	reaches(t, x, 3)
	if got := search(t, x); !slices.Equal(got, []record.Seq{3}) {
		t.Errorf("found %v", got)
	}
	if got, err := x.Unread(t.Context()); err != nil || !slices.Equal(got, []record.Seq{2}) {
		t.Errorf("unread: %v, %v", got, err)
	}
	stop()
	l.mu.Lock()
	l.unread[2] = false
	l.mu.Unlock()
	x, _ = running(t, l, Options{Path: path})
	l.append("k4", "{}")
	reaches(t, x, 4)
	for end := time.Now().Add(20 * time.Second); len(search(t, x)) != 3; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("found %v", search(t, x))
		}
	}
}

// While the disk has no room the index stands still, says so once, and goes on.
func TestNoRoom(t *testing.T) {
	var mu sync.Mutex
	full := true
	var out lockedBuffer
	free := func() (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		if full {
			return 199, nil
		}
		return 200, nil
	}
	x, _ := running(t, three(), Options{Path: filepath.Join(t.TempDir(), File), Free: free, Reserve: 100, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for end := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "too little room"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is said")
		}
	}
	if err := x.Search(t.Context(), &filter.Filter{}, 0, nil); !errors.Is(err, ErrNotReady) {
		t.Errorf("%v", err)
	}
	mu.Lock()
	full = false
	mu.Unlock()
	reaches(t, x, 3)
	if n := strings.Count(out.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, out.String())
	}
}

func TestRemake(t *testing.T) {
	l := three()
	x, _ := running(t, l, Options{Path: filepath.Join(t.TempDir(), File)})
	reaches(t, x, 3)
	l.mu.Lock()
	l.bodies[0] = payload("changed", "alpha", "m", "success", 1, "")
	l.mu.Unlock()
	must(t, x.Remake(t.Context()))
	reaches(t, x, 3)
	if got := find(t, x, "changed"); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func overwrite(t *testing.T, path string, at, n int64) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	_, err = f.WriteAt(b, at)
	must(t, errors.Join(err, f.Close()))
}

// lockedBuffer is a buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
