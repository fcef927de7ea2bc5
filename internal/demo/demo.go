// Package demo shows in a minute what Indelible promises: it runs the real daemon as a
// process of its own against an S3 server that it can take away, kills it, counts what
// arrived, and compares that with senders that put to the bucket themselves.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"indelible/internal/control"
	"indelible/internal/record"
)

// Options say how to show it.
type Options struct {
	Binary string    // this program, which the daemon is a process of
	Fast   bool      // a sixth of the time, for tests
	Stay   bool      // keep everything running at the end, until the context ends
	Out    io.Writer // gets the story; colours and a live line on a terminal only
}

// Result is what was measured.
type Result struct {
	OK          bool    `json:"ok"` // everything that the demo is to show was so
	Seconds     float64 `json:"seconds"`
	Senders     []Count `json:"senders"`      // Indelible first
	Acked       uint64  `json:"acked"`        // records in the log, as the daemon counts them
	KilledWith  uint64  `json:"killed_with"`  // records acked when the daemon was killed
	RestartedTo uint64  `json:"restarted_to"` // records that the next process knew of at once
	Waiting     uint64  `json:"waiting"`      // of them, those that were on the disk alone
	Verified    bool    `json:"verified"`     // verify found nothing wrong
	Forged      string  `json:"forged"`       // the record in which a bit was flipped
	Named       bool    `json:"named"`        // verify named that record
	Problem     string  `json:"problem,omitempty"`
}

// acts are how long each part of the story takes.
type acts struct{ calm, slow, gone, killed, back, pause time.Duration }

func actsOf(fast bool) acts {
	a := acts{calm: 10 * time.Second, slow: 9 * time.Second, gone: 10 * time.Second, killed: 10 * time.Second, back: 12 * time.Second, pause: time.Second}
	if fast {
		for _, d := range []*time.Duration{&a.calm, &a.slow, &a.gone, &a.killed, &a.back, &a.pause} {
			*d /= 6
		}
	}
	return a
}

// callEvery is the pace of the traffic: 40 calls a second.
const callEvery = 25 * time.Millisecond

const (
	ours   = "audit"       // the bucket of the records that go through Indelible
	thrice = "plain-three" // the buckets of those that are put there directly
	once   = "plain-one"
)

// demo is one run. Its fields are set before the story begins.
type demo struct {
	*narrator
	Options
	acts    acts
	cloud   *cloud
	child   *child
	traffic *traffic
	result  Result
}

// Run tells the whole story, and removes everything that it made. The error says what
// kept it from being told to its end; what came out otherwise than it should is in Result.
func Run(ctx context.Context, o Options) (r Result, err error) {
	dir, err := os.MkdirTemp("", "indelible-demo-")
	if err != nil {
		return r, err
	}
	d := &demo{narrator: newNarrator(o.Out), Options: o, acts: actsOf(o.Fast)}
	defer func() {
		if d.child != nil {
			d.child.kill()
		}
		if d.cloud != nil {
			err = errors.Join(err, d.cloud.close())
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := d.prepare(ctx, dir); err != nil {
		return r, err
	}
	if err := d.story(ctx); err != nil {
		return d.result, err
	}
	d.judge()
	return d.result, nil
}

// prepare makes bucket, daemon and senders.
func (d *demo) prepare(ctx context.Context, dir string) (err error) {
	if d.cloud, err = newCloud(filepath.Join(dir, "buckets"), ours, thrice, once); err != nil {
		return err
	}
	if d.child, err = newChild(d.Binary, dir, ours, d.cloud.url()); err != nil {
		return err
	}
	took, err := d.child.start(ctx)
	if err != nil {
		return err
	}
	at, err := control.ReadRunning(d.child.data)
	if err != nil {
		return err
	}
	pause := func(n int) time.Duration { return time.Duration(n) * d.acts.pause }
	d.traffic = &traffic{every: callEvery, sent: map[string]record.Digest{}}
	d.traffic.senders = []*sender{
		newSender("Indelible", "http://"+at.S3+"/"+ours+"/", 0, func(int) time.Duration { return d.acts.pause / 4 }),
		newSender("plain PUT, 3 attempts", d.cloud.url()+"/"+thrice+"/", 3, pause),
		newSender("plain PUT, 1 attempt", d.cloud.url()+"/"+once+"/", 1, pause),
	}
	d.introduce(dir, at, took)
	return nil
}

func (d *demo) introduce(dir string, at control.Running, took time.Duration) {
	d.print("%s\n\n", d.style.Bold("An outage of S3, a kill -9 and a forged byte, in about "+map[bool]string{false: "a minute", true: "ten seconds"}[d.Fast]))
	d.print("  S3         %s  a server in this process, its buckets in %s\n", d.cloud.url(), dir)
	d.print("  Indelible  http://%s  the real daemon (%d), ready after %d ms\n", at.S3, d.child.pid(), took.Milliseconds())
	if token, err := os.ReadFile(filepath.Join(d.child.data, control.TokenFile)); err == nil {
		d.print("  dashboard  http://%s/#%s\n", at.Admin, strings.TrimSpace(string(token)))
	}
	d.print("  traffic    %d made-up LLM calls a second; each record is sent three times:\n", time.Second/callEvery)
	d.print("             to Indelible, and straight to S3 with one attempt and with three\n\n")
}

// story is everything that happens while records are sent, and what is looked at afterwards.
func (d *demo) story(ctx context.Context) error {
	traffic, endTraffic := context.WithCancel(ctx)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		d.traffic.run(traffic, stop)
	}()
	err := d.outage(ctx)
	close(stop)
	if err != nil {
		endTraffic()
	}
	<-ended
	endTraffic()
	for _, next := range []func(context.Context) error{d.arrive, d.count, d.verify, d.stay} {
		if err != nil {
			return err
		}
		err = next(ctx)
	}
	if err == nil {
		err = d.child.stop()
	}
	return err
}

// outage takes S3 away, kills the daemon meanwhile, and brings both back.
func (d *demo) outage(ctx context.Context) error {
	d.at("all is well: records arrive in the bucket")
	if err := d.play(ctx, d.acts.calm); err != nil {
		return err
	}
	d.cloud.slow.Store(true)
	d.at("%s", d.style.Warn("S3 answers 503 SlowDown to everything"))
	if err := d.play(ctx, d.acts.slow); err != nil {
		return err
	}
	d.cloud.slow.Store(false)
	d.cloud.takeAway()
	d.at("%s", d.style.Bad("S3 is gone: it refuses connections"))
	if err := d.play(ctx, d.acts.gone); err != nil {
		return err
	}
	if err := d.killed(ctx); err != nil {
		return err
	}
	if err := d.play(ctx, d.acts.killed); err != nil {
		return err
	}
	if err := d.cloud.bringBack(); err != nil {
		return err
	}
	d.at("%s", d.style.Good("S3 is back"))
	return d.play(ctx, d.acts.back)
}

// killed kills the daemon while it holds records that are nowhere else, and starts it again.
func (d *demo) killed(ctx context.Context) error {
	before, err := d.child.status(ctx)
	if err != nil {
		return err
	}
	answered := uint64(d.traffic.senders[0].count())
	pid := d.child.pid()
	d.child.kill()
	d.at("%s", d.style.Bad(fmt.Sprintf("kill -9 %d: the daemon is dead, with %s records that are on its disk alone", pid, number(before.Pending))))
	took, err := d.child.start(ctx)
	if err != nil {
		return err
	}
	after, err := d.child.status(ctx)
	if err != nil {
		return err
	}
	d.result.KilledWith, d.result.RestartedTo, d.result.Waiting = max(before.Acked, answered), after.Acked, after.Pending
	known := d.style.Good(fmt.Sprintf("and knows all %s acked records", number(after.Acked)))
	if after.Acked < d.result.KilledWith {
		known = d.style.Bad(fmt.Sprintf("and knows %s of the %s acked records", number(after.Acked), number(d.result.KilledWith)))
	}
	d.at("started again: process %d, ready after %d ms, %s", d.child.pid(), took.Milliseconds(), known)
	return nil
}

// play lets time go by, and tells at its end how things stand.
func (d *demo) play(ctx context.Context, most time.Duration) error {
	end := time.NewTimer(most)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if s, err := d.child.status(ctx); err == nil {
				d.progress("%s", d.standing(s))
			}
		case <-end.C:
			s, err := d.child.status(ctx)
			if err != nil {
				return err
			}
			d.at("    %s", d.standing(s))
			return nil
		}
	}
}

func (d *demo) standing(s control.Status) string {
	return fmt.Sprintf("%s records sent, %s acked: %s stored and proven, %s on the disk; the destination is %s",
		number(d.traffic.count()), number(s.Acked), number(s.Proven), number(s.Acked-min(s.Acked, s.Proven)), s.Destination.State)
}
