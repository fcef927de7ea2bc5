//go:build unix

package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"indelible/internal/fields"
	"indelible/internal/query/filter"
	"indelible/internal/record"
)

// synthetic is call n of a log of many teams, models and users over a month.
func synthetic(n int, text Text) doc {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	id := fmt.Sprintf("chatcmpl-%016x%016x", r.Uint64(), r.Uint64())
	call := fmt.Sprintf("%08x-%04x-%04x-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>16, r.Uint64()>>16)
	at := begin.Add(time.Duration(n) * 2 * time.Second)
	status, start, end := "success", at.Add(-3*time.Second), at
	if n%50 == 0 {
		status = "failure"
	}
	d := doc{Row: filter.Row{
		Info: record.Info{Seq: record.Seq(n), Time: at, Door: "s3", Source: "AKIDEXAMPLE", Bucket: "audit", Size: 4096, Key: at.Format("2006-01-02/time-15-04-05-000000_") + id + ".json", Digest: record.Digest{byte(n), byte(n >> 8), byte(n >> 16)}},
		Fields: fields.Fields{
			ID: &id, CallID: &call, TraceID: new(call[:8] + "-trace"), Provider: new("openai"), Model: new(fmt.Sprint("gpt-", r.IntN(12))), ModelGroup: new("gpt"),
			APIBase: new("https://api.example.com/v1"), CallType: new("acompletion"), Stream: new(n%2 == 0), Status: &status, Start: &start, End: &end,
			Team: new(fmt.Sprint("team-", r.IntN(40))), TeamID: new(fmt.Sprintf("%032x", r.IntN(40))), KeyAlias: new(fmt.Sprint("key-", r.IntN(200))), KeyHash: new(fmt.Sprintf("%064x", r.IntN(200))),
			User: new(fmt.Sprint("user-", r.IntN(5000))), TokensIn: new(r.Int64N(4000)), TokensOut: new(r.Int64N(800)), Cost: new(r.Float64() / 100), Tags: []string{"prod"}, UserAgent: new("OpenAI/Python 1.99"),
		},
	}}
	if text == TextFields {
		d.text = filter.FieldText(&d.Row)
	}
	return d
}

// full makes an index of n calls.
func full(tb testing.TB, n int, text Text) *db {
	d, err := create(tb.Context(), filepath.Join(tb.TempDir(), File), "bench", text)
	if err != nil {
		tb.Fatal(err)
	}
	for at := 1; at <= n; {
		l, err := d.begin(tb.Context(), 0)
		for left := loadDocs; err == nil && left > 0 && at <= n; left -= batchDocs {
			b := batchFrom(at, min(batchDocs, n-at+1), text)
			err = l.add(tb.Context(), &b)
			at += batchDocs
		}
		if err == nil {
			err = l.commit(tb.Context())
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return d
}

func batchFrom(at, n int, text Text) batch {
	b := batch{upto: record.Seq(at + n - 1)}
	for i := range n {
		b.docs = append(b.docs, synthetic(at+i, text))
	}
	return b
}

// BenchmarkAdd is what a call costs the index, on a disk, without reading it from the log: in transactions as large as those of a backlog.
func BenchmarkAdd(b *testing.B) {
	for _, text := range []Text{TextOff, TextFields} {
		b.Run(string(text), func(b *testing.B) {
			at := 100_000
			d := full(b, at, text)
			defer d.close(false)
			used, took := time.Duration(0), time.Duration(0)
			for b.Loop() {
				var parts []batch
				for range loadDocs / batchDocs {
					parts = append(parts, batchFrom(at+1, batchDocs, text))
					at += batchDocs
				}
				before, begun := cpu(), time.Now()
				l, err := d.begin(b.Context(), 0)
				for i := 0; err == nil && i < len(parts); i++ {
					err = l.add(b.Context(), &parts[i])
				}
				if err == nil {
					err = l.commit(b.Context())
				}
				if err != nil {
					b.Fatal(err)
				}
				used, took = used+cpu()-before, took+time.Since(begun)
			}
			calls := loadDocs * float64(b.N)
			b.ReportMetric(calls/took.Seconds(), "calls/s")
			b.ReportMetric(float64(used.Microseconds())/calls, "cpu-µs/call")
			size := int64(0)
			if err := d.read.QueryRow("SELECT (SELECT page_count FROM pragma_page_count) * 4096").Scan(&size); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(size)/float64(at), "B/call")
		})
	}
}

// cpu is the time that this process has taken of all processors.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// million is an index of a million calls: the one in the directory that INDELIBLE_MILLION names, where it is made if it is not there, so that a quiet
// machine is needed for the questions alone; or one that is made for this run.
func million(b *testing.B) *db {
	dir := os.Getenv("INDELIBLE_MILLION")
	if dir == "" {
		return full(b, 1_000_000, TextFields)
	}
	path := filepath.Join(dir, File)
	if _, err := os.Stat(path); err != nil {
		made := full(b, 1_000_000, TextFields)
		if err := errors.Join(made.close(true), os.Rename(made.path, path)); err != nil {
			b.Fatal(err)
		}
	}
	d, err := open(b.Context(), path, "bench", TextFields, false)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkMillion asks an index of a million calls.
func BenchmarkMillion(b *testing.B) {
	d := million(b)
	defer d.close(false)
	ask := func(name string, do func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				do(b)
			}
		})
	}
	stats := func(by []string, args ...string) func(b *testing.B) {
		return func(b *testing.B) {
			f, err := filter.Parse(args, begin)
			if err == nil {
				_, err = d.stats(b.Context(), f, by, func(Sum) bool { return true })
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	newest := func(n int, args ...string) func(b *testing.B) {
		return func(b *testing.B) {
			f, err := filter.Parse(args, begin)
			left := n
			if err == nil {
				err = d.search(b.Context(), f, 1_000_000, func(filter.Row) bool { left--; return left > 0 })
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	ask("stats/team,day", stats([]string{"team", Day}))
	ask("stats/team,day,one_week", stats([]string{"team", Day}, "time>=2026-11-08", "time<2026-11-15"))
	ask("stats/team,day,from_rows", stats([]string{"team", Day}, "seq>0"))
	ask("stats/model,day,of_team", stats([]string{"model", Day}, "team=team-7"))
	ask("stats/user", stats([]string{"user"}))
	ask("search/team", newest(100, "team=team-7"))
	ask("search/team,failure", newest(100, "team=team-7", "status=failure"))
	ask("search/rare", newest(100, "team=team-7", "cost>0.00999"))
	ask("search/model~", newest(100, "model~T-1"))
	ask("search/nothing", newest(100, "served_model~x"))
	ask("search/word", newest(100, "acompletion"))
	ask("id", func(b *testing.B) {
		n := 0
		id := *synthetic(500_000, TextOff).Fields.ID
		if err := d.named(b.Context(), id, func(filter.Row) bool { n++; return true }); err != nil || n != 1 {
			b.Fatal(n, err)
		}
	})
}
