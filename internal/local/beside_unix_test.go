//go:build unix

package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/config"
	"indelible/internal/record"
	"indelible/internal/setup"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// called is call i in the form in which LiteLLM logs one, in short: about 1 KB.
func called(i int) (key, body string) {
	r := rand.New(rand.NewPCG(3, uint64(i)))
	status := "success"
	if i%97 == 0 {
		status = "failure"
	}
	id := fmt.Sprintf("chatcmpl-%016x%08d", r.Uint64(), i)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Second)
	key = at.Format("2006-01-02/time-15-04-05-000000_") + id + ".json"
	body = fmt.Sprintf(`{"id":%q,"litellm_call_id":"%08x-%04x-%04x-%012x","trace_id":"trace-%x","status":%q,"model":%q,"custom_llm_provider":"openai","call_type":"acompletion","response_cost":%.4f,"prompt_tokens":%d,"completion_tokens":%d,"startTime":%d.5,"endTime":%d.9,`+
		`"metadata":{"user_api_key_team_alias":"team-%02d","user_api_key_user_id":"user-%04d","user_api_key_alias":"key-%d"},"request_tags":["prod"],"messages":[{"role":"user","content":"Is invoice %d under the refund policy of March? %s"}]}`,
		id, r.Uint32(), r.Uint32()>>16, r.Uint32()>>16, r.Uint64()>>16, r.Uint64(), status, []string{"gpt-5-mini", "claude-sonnet-5", "gemini-3-flash"}[i%3], float64(i%1000)/1000, i%900, i%400, at.Unix(), at.Unix(), r.IntN(40), r.IntN(5000), r.IntN(200), i, strings.Repeat("Please check. ", 30))
	return key, body
}

// besideLog is a log of n such calls that lie in packs in a directory; it is made where it is not there yet.
func besideLog(b *testing.B, n int) *config.Loaded {
	dir := os.Getenv("INDELIBLE_BESIDE_DIR")
	if dir == "" {
		dir = b.TempDir()
	}
	c := config.Default()
	c.Data, c.Destination.URL, c.Layout = filepath.Join(dir, "data"), config.StoreURL("file://"+filepath.Join(dir, "store")), "pack"
	l := &config.Loaded{Config: c}
	e, err := setup.Engine(b.Context(), l, nil, setup.Events{})
	if err != nil {
		b.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- e.Run(context.Background()) }()
	had := int(e.Spool().Stats().Acked)
	begun := time.Now()
	var senders sync.WaitGroup
	for lane := range 64 {
		senders.Go(func() {
			for i := had + lane; i < n; i += 64 {
				key, body := called(i)
				if _, err := e.Append(b.Context(), record.Record{Door: "s3", Bucket: "audit", Key: key, Size: int64(len(body)), Body: strings.NewReader(body)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	if err := e.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
	e.Stop(b.Context())
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	b.Logf("%d records were sent and packed in %v", max(n-had, 0), time.Since(begun).Round(time.Millisecond))
	return l
}

// BenchmarkBeside asks a log of INDELIBLE_BESIDE calls (100,000) that lie in packs, without an index and with one, and builds that. INDELIBLE_BESIDE_DIR keeps the
// log for the next run; test/readers/sums.py asks DuckDB for the sums of that.
func BenchmarkBeside(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("INDELIBLE_BESIDE"))
	if err != nil {
		n = 100_000
	}
	l := besideLog(b, n)
	if err := os.Remove(filepath.Join(l.Config.Data, "index.db")); err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	with := func(do func(*Service) error) {
		s, err := Open(b.Context(), l)
		if err != nil {
			b.Fatal(err)
		}
		if err := do(s.(*Service)); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	ask := func(b *testing.B, s *Service) error {
		for _, q := range [][]string{{"team=team-07"}, {"team=team-07", "status=failure"}, {"model~gpt"}, {"cost>0.9985"}, {"id=" + idOf(n/2)}, {"refund"}, {"user-0042"}, {"user=nobody"}, {"since=1h", "status=failure"}} {
			b.Run("search/"+strings.Join(q, ","), func(b *testing.B) {
				before, hits, sum := cpu(), 0, catalog.SearchSummary{}
				for b.Loop() {
					hits = 0
					var err error
					if sum, err = s.Search(b.Context(), catalog.Query{Expr: q, Limit: 100}, func(catalog.Hit) bool { hits++; return true }); err != nil || sum.Missing != "" {
						b.Fatal(err, sum.Missing)
					}
				}
				report(b, before, hits)
				b.ReportMetric(float64(sum.Read), "read")
			})
		}
		week := []string{"time>=" + time.Now().UTC().Add(-7*24*time.Hour).Format(time.RFC3339)}
		for name, q := range map[string]catalog.StatsQuery{"team,day": {By: []string{"team", "day"}}, "team,day,week": {Expr: week, By: []string{"team", "day"}}, "user": {By: []string{"user"}}} {
			b.Run("stats/"+name, func(b *testing.B) {
				before, sums := cpu(), 0
				for b.Loop() {
					got, _, err := s.Stats(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					sums = len(got)
				}
				report(b, before, sums)
			})
		}
		return nil
	}
	b.Run("without_index", func(b *testing.B) { with(func(s *Service) error { return ask(b, s) }) })
	b.Run("rebuild", func(b *testing.B) {
		before := cpu()
		for b.Loop() {
			with(func(s *Service) error { return s.Rebuild(b.Context(), func(done, of record.Seq) {}) })
		}
		calls := float64(n) * float64(b.N)
		b.ReportMetric(calls/b.Elapsed().Seconds(), "records/s")
		b.ReportMetric(float64((cpu()-before).Microseconds())/calls, "cpu-us/record")
		if info, err := os.Stat(filepath.Join(l.Config.Data, "index.db")); err == nil {
			b.ReportMetric(float64(info.Size())/float64(n), "B/record")
		}
	})
	b.Run("with_index", func(b *testing.B) { with(func(s *Service) error { return ask(b, s) }) })
}

func idOf(i int) string {
	key, _ := called(i)
	return strings.TrimSuffix(key[strings.Index(key, "_")+1:], ".json")
}

func report(b *testing.B, before time.Duration, found int) {
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(found), "found")
}
