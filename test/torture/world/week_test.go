package world

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/torture"
	"indelible/internal/upload"
)

// The reported week: a proxy of 1.37 M requests a day lost 124 records to answers of 503 and 500.
const (
	perDay     = 1_370_000
	transients = 124 // of a week, evenly spread
	flushEvery = 10 * time.Second
	senders    = 16 // puts at once, of a sender without a spool
)

// traffic is who sends what when: records are numbered.
type traffic struct {
	sizes  [4096]int
	bodies []byte
}

// newTraffic has bodies that are smaller by a factor.
func newTraffic(smaller int) *traffic {
	rng := rand.New(rand.NewPCG(1, 1))
	w := &traffic{bodies: make([]byte, 2<<20)}
	for i := range w.bodies {
		w.bodies[i] = byte(rng.Uint32())
	}
	for i := range w.sizes { // log-normal: half are below 3 KiB, one of a thousand is above 90 KiB
		w.sizes[i] = min(int(3072*math.Exp(1.1*rng.NormFloat64())), 1<<20) / smaller
	}
	return w
}

func (w *traffic) body(n int) []byte {
	at := n * 61 % (1 << 20)
	return w.bodies[at : at+w.sizes[n*2654435761>>7%len(w.sizes)]]
}

// sent is how many records were sent by a time after the first midnight: a
// quarter of the mean by night, nearly twice as much in the early afternoon.
func (w *traffic) sent(after time.Duration) int {
	day, x := math.Modf(after.Hours() / 24)
	const swing, phase = 0.8 / (2 * math.Pi), 2 * math.Pi * 8 / 24
	return int(perDay * (day + x - swing*(math.Cos(2*math.Pi*x-phase)-math.Cos(phase))))
}

func key(n int) string { return strconv.Itoa(n) + ".json" }

// direct is a sender without a spool: each flush goes through its workers, a put that fails is
// tried again after these waits, and then given up.
func (b *s3) direct(days int, waits ...time.Duration) {
	var free [senders]time.Time
	n := 0
	for t := flushEvery; t <= time.Duration(days)*24*time.Hour; t += flushEvery {
		flush := b.begin.Add(t)
		for end := b.traffic.sent(t); n < end; n++ {
			w := 0
			for i := range free {
				if free[i].Before(free[w]) {
					w = i
				}
			}
			now := free[w]
			if now.Before(flush) {
				now = flush
			}
			for attempt := 0; ; attempt++ {
				apply, takes, err := b.fate(now)
				now = now.Add(takes)
				if apply {
					_ = b.keep(n, b.traffic.body(n), flush, now) // it may be there by a put that was answered with 500
				}
				if err == nil || attempt == len(waits) {
					break
				}
				now = now.Add(waits[attempt])
			}
			free[w] = now
		}
	}
}

// spooled sends everything through the spool and the uploader.
func (b *s3) spooled(t *testing.T, days int) {
	sp, err := spool.Open(crashdisk.NewPlain(), spool.Options{Log: name, SegmentBytes: 256 << 10, ReserveBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	u := upload.New(upload.Options{Source: sp, Store: b, Layout: objects, Log: name})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := u.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	n := 0
	for at := flushEvery; at <= time.Duration(days)*24*time.Hour; at += flushEvery {
		_ = wait(ctx, time.Until(b.begin.Add(at)))
		for end := b.traffic.sent(at); n < end; {
			batch := make([]record.Record, min(senders, end-n))
			for i := range batch {
				body := b.traffic.body(n + i)
				batch[i] = record.Record{Door: "s3", Bucket: "audit", Key: key(n + i), Body: bytes.NewReader(body), Size: int64(len(body))}
			}
			if _, err := sp.AppendAll(ctx, batch); err != nil {
				t.Fatalf("records from %d on were not taken: %v", n, err)
			}
			n += len(batch)
		}
	}
	if err := u.Drain(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	running.Wait()
	if err := sp.Close(); err != nil {
		t.Error(err)
	}
}

// line is what the table says of one way to send.
func (b *s3) line(records int) string {
	d := b.delay[:records]
	slices.Sort(d)
	q := func(p float64) time.Duration {
		return time.Duration(float64(d[min(len(d)-1, int(p*float64(len(d))))]) * float64(time.Second)).Round(time.Millisecond)
	}
	return fmt.Sprintf("%.4f puts a record, %d answers of 503 or 500, %d lost, delay %v / %v / %v (half, 99.99 %%, longest)", float64(b.puts)/float64(records), b.refused, b.lost(records), q(0.5), q(0.9999), q(1))
}

// TestTortureWeek sends the reported week thrice: with one attempt, with three, and through
// the spool, in virtual time.
func TestTortureWeek(t *testing.T) {
	torture.NeedsShare(t)
	days := torture.Share(0, 1, 7)
	records := days * perDay
	w := newTraffic(1)
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where synctest begins
	var lines []string
	for _, waits := range [][]time.Duration{nil, {100 * time.Millisecond, 200 * time.Millisecond}} {
		b := newS3(w, begin, days, records)
		b.direct(days, waits...)
		lines = append(lines, fmt.Sprintf("%d attempts: %s", len(waits)+1, b.line(records)))
		if b.lost(records) == 0 {
			t.Error("a sender without a spool lost nothing: this shows nothing")
		}
	}
	row := torture.Report(t, "the reported week", "records")
	synctest.Test(t, func(t *testing.T) {
		b := newS3(w, begin, days, records)
		b.spooled(t, days)
		row.Ran(records, records)
		row.Count(b.lost(records), b.duplicated, b.corrupted)
		lines = append(lines, "through the spool: "+b.line(records))
	})
	row.Note = strings.Join(lines, "; ")
}

// TestTortureOutage has a day's records come through the door while nothing answers at the
// destination, in virtual time; then it answers. The bodies are small, because the disk is in memory.
func TestTortureOutage(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "24 h without the destination", "records")
	w := newTraffic(16)
	synctest.Test(t, func(t *testing.T) {
		b := newS3(w, time.Now(), 1, perDay)
		b.outage = 24 * time.Hour
		fd := faultdisk.New(crashdisk.NewPlain(), nil)
		x := newWorld(t, row, 1)
		p := x.wire(fd, b, spool.Options{Log: name, SegmentBytes: 8 << 20, ReserveBytes: 1}, time.Minute, nil)
		ctx := t.Context()
		n := 0
		for at := flushEvery; at <= 24*time.Hour; at += flushEvery {
			_ = wait(ctx, time.Until(b.begin.Add(at)))
			for end := w.sent(at); n < end; {
				var batch sync.WaitGroup
				for range min(4*senders, end-n) {
					batch.Go(func(n int) func() {
						return func() {
							if _, err := send(ctx, p.door, key(n), w.body(n)); err != nil {
								t.Error(err)
							}
						}
					}(n))
					n++
				}
				batch.Wait()
			}
		}
		if s := p.spool.Stats(); s.Pending != uint64(n) || n != perDay {
			t.Errorf("%d records sent, %d pending", n, s.Pending)
		}
		back := time.Now()
		if err := p.uploader.Drain(ctx); err != nil {
			t.Error(err)
		}
		took := time.Since(back)
		p.stop()
		log := p.ledger.log.Load()
		if err := log.Stop(ctx); err != nil {
			t.Error(err)
		}
		row.Ran(n, n)
		row.Count(b.lost(n), b.duplicated, b.corrupted)
		report, err := proof.Verify(ctx, b, "", log.Public(), proof.VerifyOptions{})
		if err != nil || !report.OK() || report.Records != int64(n) {
			t.Errorf("verify: %v, %+v", err, report)
		}
		if err := p.spool.Close(); err != nil {
			t.Error(err)
		}
		row.Note = fmt.Sprintf("%.4f puts a record; delivered %v after the end of the outage; verified", float64(b.puts)/float64(n), took.Round(time.Second))
	})
}
