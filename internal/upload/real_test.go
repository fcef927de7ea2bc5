package upload_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/faultproxy"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// checkStore is the oracle over a real store: exactly the records' objects, byte for byte.
func (w *world) checkStore(s store.Store) {
	w.t.Helper()
	owner := map[string]record.Seq{}
	for seq, o := range w.src.settled {
		if was := owner[o.Stored]; was != 0 {
			w.t.Errorf("records %d and %d share %q", was, seq, o.Stored)
		}
		owner[o.Stored] = seq
	}
	if len(owner) != len(w.src.entries) {
		w.t.Errorf("%d of %d records are settled", len(owner), len(w.src.entries))
	}
	n := 0
	for info, err := range s.List(w.t.Context(), store.ListOptions{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
		head, err := s.Head(w.t.Context(), info.Key, store.GetOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		seq := owner[info.Key]
		if seq == 0 {
			w.t.Errorf("%q belongs to no record", info.Key)
			continue
		}
		e := w.src.entries[seq-1]
		if head.Digest != e.Digest || head.Meta["indelible-seq"] != fmt.Sprint(seq) || head.Meta["indelible-log"] != "test" {
			w.t.Errorf("%q: digest %s and metadata %v, want those of record %d", info.Key, head.Digest, head.Meta, seq)
		}
	}
	if n != len(owner) {
		w.t.Errorf("%d objects, want %d", n, len(owner))
	}
}

func TestToDirectory(t *testing.T) {
	disk, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, "{bucket}/")
	w.opts.Store = dir.Open(disk)
	for i := range 300 {
		w.src.add("b", fmt.Sprintf("day/k%d.json", i%200), strings.Repeat("x", i))
	}
	w.start()
	w.drain(time.Minute)
	w.stop()
	w.checkStore(w.opts.Store)
}

// Into a real S3 server that fails in every way of the fault proxy, with restarts.
func TestToS3ThroughFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	server := testserver.Versitygw(t)
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.New(target, 1)
	defer proxy.Close()
	front, err := faultproxy.Listen("127.0.0.1:0", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", server.Access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.Secret)
	open := func(endpoint string, attempt time.Duration) store.Store {
		s, err := s3.Open(t.Context(), s3.Config{Bucket: server.Bucket, Endpoint: endpoint, Region: server.Region, AttemptTimeout: attempt})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	w := newWorld(t, "logs/")
	w.opts.Store = open("http://"+front.Addr, 400*time.Millisecond)
	w.opts.BackoffMin, w.opts.BackoffMax, w.opts.DeferredEvery = 5*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
	var rules []faultproxy.Rule
	for _, f := range faultproxy.Faults() {
		switch f {
		case faultproxy.TooLarge, faultproxy.KeyTooLong, faultproxy.MetaTooLarge, faultproxy.InvalidArgument, faultproxy.Refused:
			continue // poison has its own test, refusing goes by time
		case faultproxy.SlowAnswer, faultproxy.SlowBandwidth, faultproxy.CutAnswer, faultproxy.SlowDownWait, faultproxy.AmzRetryAfter:
			rules = append(rules, faultproxy.Rule{Fault: f, Percent: 0.3})
		default:
			rules = append(rules, faultproxy.Rule{Fault: f, Percent: 1.5}, faultproxy.Rule{Fault: f, Percent: 0.3, Methods: []string{"HEAD"}})
		}
	}
	proxy.Set(rules...)
	for i := range 300 {
		w.src.add("b", fmt.Sprintf("k%d.json", i%260), fmt.Sprintf("body %d", i))
	}
	for range 4 {
		w.start()
		time.Sleep(300 * time.Millisecond)
		w.stop()
	}
	w.start()
	w.drain(2 * time.Minute)
	proxy.Set()
	for deadline := time.Now().Add(time.Minute); len(w.parkedNow()) > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		w.up.Redrive()
	}
	w.stop()
	w.checkStore(open(server.Endpoint, time.Minute)) // a busy machine may be slow to answer the oracle
	for _, lie := range w.src.lies {
		t.Error(lie)
	}
	hit := 0
	for f, n := range proxy.Injected() {
		if f.Stores() {
			hit += n
		}
	}
	if hit == 0 {
		t.Errorf("no stored-then-failed answer came up: %v", proxy.Injected())
	}
	t.Logf("faults %v, requests %v, stats %+v", proxy.Injected(), proxy.Requests(), w.up.Stats())
}

func (w *world) parkedNow() []record.Seq {
	w.src.mu.Lock()
	defer w.src.mu.Unlock()
	var seqs []record.Seq
	for seq := range w.src.parked {
		seqs = append(seqs, seq)
	}
	return seqs
}

// BenchmarkDirectory delivers 4 KiB records into a directory, fsynced each.
func BenchmarkDirectory(b *testing.B) { benchmark(b, true) }

// BenchmarkOverhead is the uploader alone: a store in memory, no latency.
func BenchmarkOverhead(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, real bool) {
	w := newWorld(b, "")
	if real {
		disk, err := osdisk.Open(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		w.opts.Store = dir.Open(disk)
	}
	body := strings.Repeat("x", 4096)
	for i := range b.N {
		w.src.add("b", fmt.Sprint("k", i), body)
	}
	b.ReportAllocs()
	b.ResetTimer()
	w.start()
	w.drain(10 * time.Minute)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.StopTimer()
	w.stop()
}
