package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture/driver"
)

// bench is what all trials share.
type bench struct {
	work     string // a temporary directory
	s3       *testserver.Server
	forgetfs string // the program; "": power cuts and full disks are left out
	outage   time.Duration
}

// trial is one peer in one run: its process, its disk, its bucket, and the fault proxy in
// front of the S3 server.
type trial struct {
	at     place
	peer   *peer
	proxy  *faultproxy.Proxy
	front  *faultproxy.Server
	disk   *driver.Forgetful // nil: what the machine has
	proc   *process
	bucket string // the directory that it is
}

// begin starts a peer.
func (b *bench) begin(p *peer, run string, forgetful bool) (*trial, error) {
	t := &trial{peer: p, bucket: filepath.Join(b.s3.Root, run)}
	t.at = place{run: run, dir: filepath.Join(b.work, run), addr: faultproxy.FreeAddr(), admin: faultproxy.FreeAddr(), bucket: run, s3: b.s3}
	t.at.data = filepath.Join(t.at.dir, "disk")
	for _, dir := range []string{t.at.dir, t.bucket} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	target, err := url.Parse(b.s3.Endpoint)
	if err != nil {
		return nil, err
	}
	t.proxy = faultproxy.New(target, 1)
	if t.front, err = faultproxy.Listen("127.0.0.1:0", t.proxy); err != nil {
		return nil, err
	}
	t.at.endpoint = "http://" + t.front.Addr
	if forgetful {
		t.disk, err = driver.MountForgetful(b.forgetfs, t.at.data, "-mmap") // bbolt, the queue of the Collector, maps its file
	} else {
		err = os.Mkdir(t.at.data, 0o700)
	}
	if err == nil {
		t.proc, err = p.start(t.at)
	}
	if err == nil {
		err = t.start()
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// start starts the process, and syncs the directories of a forgetful disk once: the Collector's
// storage does not, and would lose its whole file there, where ext4 and xfs would keep the name of a file that was synced.
func (t *trial) start() error {
	if err := t.proc.start(); err != nil || t.disk == nil {
		return err
	}
	return filepath.WalkDir(t.at.data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		dir, err := os.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(dir.Sync(), dir.Close())
	})
}

// end takes everything away but the bucket and the log.
func (t *trial) end() {
	if t.proc != nil {
		t.proc.kill()
	}
	if t.disk != nil {
		t.disk.Close()
	}
	t.front.Close()
}

const (
	settleTime = 3 * time.Second        // for second copies, once all is there
	lookEvery  = 500 * time.Millisecond // into the bucket
	stillLooks = 90                     // without one more record: no more come. The Collector waits up to 30 s between attempts
	mostLooks  = 300
)

// drain waits until every acked record is in the bucket, or no more come. It counts looks and
// not seconds: whoever stops this machine for a while stops the peers, too.
func (t *trial) drain(ctx context.Context, s *sent) error {
	c := newCensus(t.bucket, t.peer.records)
	for looks, still := 0, 0; looks < mostLooks && still < stillLooks; looks, still = looks+1, still+1 {
		before := len(c.copies)
		if err := c.update(); err != nil {
			return err
		}
		if compare(s, c).Lost == 0 {
			return sleep(ctx, settleTime)
		}
		if len(c.copies) > before {
			still = 0
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

// count compares the bucket, as it is in the end, with what was sent.
func (t *trial) count(s *sent) (counts, error) {
	c := newCensus(t.bucket, t.peer.records)
	if err := c.update(); err != nil {
		return counts{}, err
	}
	return compare(s, c), nil
}

// outcome is what one accident did to one peer.
type outcome struct {
	Peer     string `json:"peer"`
	Setting  string `json:"setting"`
	Accident string `json:"accident"`
	counts
	AckedMeanwhile int    `json:"acked_meanwhile"` // while the accident lasted
	Failed         string `json:"failed,omitempty"`
}

// accident is what happens to a peer under load. lasts is how long its effect was there.
type accident struct {
	name   string
	onDisk bool // needs a disk that has accidents
	happen func(ctx context.Context, t *trial, lasts time.Duration) error
}

var accidents = []accident{
	{"kill -9, twice", false, func(ctx context.Context, t *trial, _ time.Duration) error {
		return twice(ctx, func() error {
			t.proc.kill()
			return t.start()
		})
	}},
	{"S3 answers 503", false, answering(faultproxy.SlowDown)},
	{"S3 answers 403", false, answering(faultproxy.Forbidden)},
	{"S3 answers 503, kill -9 meanwhile", false, func(ctx context.Context, t *trial, lasts time.Duration) error {
		t.proxy.Set(faultproxy.Rule{Fault: faultproxy.SlowDown, Methods: []string{"*"}})
		defer t.proxy.Set()
		if err := sleep(ctx, lasts/2); err != nil {
			return err
		}
		t.proc.kill()
		if err := t.start(); err != nil {
			return err
		}
		return sleep(ctx, lasts/2)
	}},
	{"full disk, and S3 answers 503", true, func(ctx context.Context, t *trial, lasts time.Duration) error {
		t.proxy.Set(faultproxy.Rule{Fault: faultproxy.SlowDown, Methods: []string{"*"}})
		defer t.proxy.Set()
		if err := t.disk.Tell("full ENOSPC"); err != nil {
			return err
		}
		if err := sleep(ctx, lasts); err != nil {
			return err
		}
		if err := t.disk.Tell("full ok"); err != nil {
			return err
		}
		if t.proc.wait(0) { // it has ended: somebody starts it again
			return t.start()
		}
		return nil
	}},
	{"power cut, twice, while S3 answers 503", true, func(ctx context.Context, t *trial, _ time.Duration) error {
		t.proxy.Set(faultproxy.Rule{Fault: faultproxy.SlowDown, Methods: []string{"*"}})
		defer t.proxy.Set()
		if err := sleep(ctx, quiet); err != nil {
			return err
		}
		return twice(ctx, func() error {
			if err := t.disk.CutPower(rand.Uint64(), t.proc.kill); err != nil {
				return err
			}
			return t.start()
		})
	}},
}

func answering(f faultproxy.Fault) func(context.Context, *trial, time.Duration) error {
	return func(ctx context.Context, t *trial, lasts time.Duration) error {
		t.proxy.Set(faultproxy.Rule{Fault: f, Methods: []string{"*"}})
		defer t.proxy.Set()
		return sleep(ctx, lasts)
	}
}

func twice(ctx context.Context, do func() error) error {
	for n := range 2 {
		if n > 0 {
			if err := sleep(ctx, quiet); err != nil {
				return err
			}
		}
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// quiet is how long the load runs before, between and after accidents.
const quiet = 3 * time.Second

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// run has one accident happen to one peer, and counts.
func (b *bench) run(ctx context.Context, p *peer, run string, a accident) (o outcome) {
	o = outcome{Peer: p.name, Setting: p.setting, Accident: a.name}
	if err := b.try(ctx, p, run, a, &o); err != nil {
		o.Failed = err.Error()
	}
	return o
}

func (b *bench) try(ctx context.Context, p *peer, run string, a accident, o *outcome) error {
	t, err := b.begin(p, run, a.onDisk)
	if err != nil {
		return err
	}
	defer t.end()
	l := newLoad(p, t.at, 16, p.rate)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.run(ctx)
	}()
	if err = sleep(ctx, quiet); err == nil {
		_, before := l.sent.count()
		err = a.happen(ctx, t, b.outage)
		_, after := l.sent.count()
		o.AckedMeanwhile = after - before
	}
	if err == nil {
		err = sleep(ctx, quiet)
	}
	l.stop()
	<-ended
	if err == nil {
		err = t.drain(ctx, l.sent)
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, t.proc.tail())
	}
	t.proc.stop() // what it still holds has its last chance
	var e error
	if o.counts, e = t.count(l.sent); e != nil {
		return e
	}
	return err
}

// speed is how fast a peer acks, and what a record costs: with S3 there, until all are in the
// bucket, and with S3 away, which is the way to the ack alone.
type speed struct {
	Peer    string `json:"peer"`
	Setting string `json:"setting"`
	There   pace   `json:"s3_there"`
	Away    pace   `json:"s3_away"`
	Lost    int    `json:"lost"`
	Twice   int    `json:"twice"`
	Failed  string `json:"failed,omitempty"`
}

// pace is one of its two halves.
type pace struct {
	Acked int     `json:"acked"`
	Rate  float64 `json:"acks_per_second"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	CPU   float64 `json:"cpu_us_per_record"`
}

// measure sends as fast as the peer acks, for a time or until so many records are out.
func (b *bench) measure(ctx context.Context, p *peer, run string, takes time.Duration, most int) (s speed) {
	s = speed{Peer: p.name, Setting: p.setting}
	var err error
	if p.holds > 0 {
		s.Away, err = b.half(ctx, p, run+"-away", takes, min(most, p.holds), nil)
	}
	if err == nil {
		s.There, err = b.half(ctx, p, run, takes, most, &s)
	}
	if err != nil {
		s.Failed = err.Error()
	}
	return s
}

// half measures one half: with S3 away where there is nothing to be counted.
func (b *bench) half(ctx context.Context, p *peer, run string, takes time.Duration, most int, into *speed) (pace, error) {
	t, err := b.begin(p, run, false)
	if err != nil {
		return pace{}, err
	}
	defer t.end()
	warm := newLoad(p, t.at, 16, 0)
	warm.most, warm.at.run = 16, t.at.run+"-warm"
	warm.run(ctx)
	if into == nil {
		t.proxy.Set(faultproxy.Rule{Fault: faultproxy.SlowDown, Methods: []string{"*"}})
	}
	l := newLoad(p, t.at, 64, 0)
	l.most = most
	before, err := t.proc.cpu()
	if err != nil {
		return pace{}, err
	}
	stop := time.AfterFunc(takes, l.stop)
	begun := time.Now()
	l.run(ctx)
	took := time.Since(begun)
	stop.Stop()
	_, stored := l.sent.count()
	if into != nil {
		if err := t.drain(ctx, l.sent); err != nil {
			return pace{}, err
		}
	}
	after, err := t.proc.cpu()
	if err != nil {
		return pace{}, err
	}
	_, acked := l.sent.count()
	if into != nil {
		n, err := t.count(l.sent)
		if err != nil {
			return pace{}, err
		}
		into.Lost, into.Twice, stored = n.Lost, n.Twice, n.Acked-n.Lost
	}
	return pace{
		Acked: acked, Rate: float64(acked) / took.Seconds(), P50: ms(l.quantile(0.5)), P99: ms(l.quantile(0.99)),
		CPU: float64((after - before).Microseconds()) / float64(max(1, stored)),
	}, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
