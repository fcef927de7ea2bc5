package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// arrivePatience bounds how long the last records may be on their way.
const arrivePatience = time.Minute

// arrive waits until every record is stored and proven.
func (d *demo) arrive(ctx context.Context) error {
	d.at("the traffic ends: %s records", number(d.traffic.count()))
	for end := time.Now().Add(arrivePatience); ; {
		s, err := d.child.status(ctx)
		if err != nil {
			return err
		}
		if d.result.Acked = s.Acked; s.Pending == 0 && s.Proven == s.Acked {
			d.at("%s", d.style.Good("every record is in the bucket, and the signed log covers it"))
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d records are still on their way after %s: %s", s.Acked-s.Proven, arrivePatience, s.Destination.LastError)
		}
		d.progress("%s", d.standing(s))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// count compares every bucket with what was sent, and shows it.
func (d *demo) count(ctx context.Context) error {
	for i, bucket := range []string{ours, thrice, once} {
		t, err := countLost(ctx, d.traffic.senders[i], d.traffic.sent, d.cloud.buckets[bucket])
		if err != nil {
			return err
		}
		d.result.Senders = append(d.result.Senders, t)
	}
	d.print("\n%s\n\n", d.style.Bold("Counted in the buckets, after the same outage"))
	for i, t := range d.result.Senders {
		lost := d.style.Bad(fmt.Sprintf("%6s lost", number(t.Missing)))
		if t.Missing == 0 {
			lost = d.style.Good("  none lost")
		}
		how := d.style.Wrap(45, fmt.Sprintf("%s sent again after the kill, %d twice in the bucket", number(t.Again), t.Twice))
		if i > 0 {
			how = d.style.Bad(bar(t.Missing, t.Sent, 40)) + fmt.Sprintf(" %.0f %%", 100*float64(t.Missing)/float64(t.Sent))
		}
		d.print("  %-22s %s of %s   %s\n", t.Name, lost, number(t.Sent), how)
	}
	return nil
}

// verify has the log verified, forges a record in the bucket, and has it verified again.
func (d *demo) verify(ctx context.Context) error {
	out, status, err := d.child.command(ctx, "verify")
	if err != nil {
		return err
	}
	d.result.Verified = status == 0
	d.quote("indelible verify s3://"+ours, out)
	keys := make([]string, 0, len(d.traffic.sent))
	for key := range d.traffic.sent {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	d.result.Forged = keys[len(keys)/2]
	was, is, err := forge(d.cloud.file(ours, d.result.Forged))
	if err != nil {
		return err
	}
	d.print("\n  One bit of one byte is flipped behind its back, in\n  %s:\n  %s becomes %s\n", d.result.Forged, was, d.style.Bad(is))
	out, status, err = d.child.command(ctx, "verify")
	if err != nil {
		return err
	}
	d.result.Named = status == 1 && strings.Contains(out, d.result.Forged)
	d.quote("indelible verify s3://"+ours, out)
	return nil
}

// stay keeps everything running until the context ends, where that was asked for.
func (d *demo) stay(ctx context.Context) error {
	if d.Stay {
		d.print("\nEverything keeps running until Ctrl-C.\n")
		<-ctx.Done()
	}
	return nil
}

// judge says whether everything was as it should be.
func (d *demo) judge() {
	r := &d.result
	r.Seconds = time.Since(d.began).Seconds()
	we := r.Senders[0]
	switch {
	case we.Missing > 0 || we.Answered != we.Sent:
		r.Problem = fmt.Sprintf("of %d records %d are missing, and %d were never acknowledged", we.Sent, we.Missing, we.Sent-we.Answered)
	case we.Twice > 0 || r.Acked != uint64(we.Sent):
		r.Problem = fmt.Sprintf("%d objects are there twice, and the log has %d records of %d", we.Twice, r.Acked, we.Sent)
	case r.RestartedTo < r.KilledWith:
		r.Problem = fmt.Sprintf("%d records were acknowledged before the kill, and %d after it", r.KilledWith, r.RestartedTo)
	case !r.Verified:
		r.Problem = "verify found a fault in a log that nobody had touched"
	case !r.Named:
		r.Problem = "verify did not name the record that was forged"
	}
	r.OK = r.Problem == ""
	if !r.OK {
		d.print("\n%s %s\n", d.style.Bad("This is not what it should have shown:"), r.Problem)
		return
	}
	d.print("\n%s\n", d.style.Wrap(0, fmt.Sprintf("%s every record exactly once, and the forged one named, in %.0f s. Nothing is left behind.", d.style.Good("As promised:"), r.Seconds)))
}
