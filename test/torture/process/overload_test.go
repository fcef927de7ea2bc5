package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// load is a number of clients that send for a while.
type load struct {
	acked  int
	refuse int             // answers of 503
	took   []time.Duration // of the acks
	other  []error
}

func (l *load) quantile(q float64) time.Duration {
	if len(l.took) == 0 {
		return 0
	}
	slices.Sort(l.took)
	return l.took[min(len(l.took)-1, int(q*float64(len(l.took))))]
}

// press has clients send 4 KiB records in closed loops for a while.
func press(ctx context.Context, s *driver.Serve, o *driver.Oracle, clients int, dir string, while time.Duration) *load {
	return pressBodies(ctx, s, o, clients, dir, 4096, while)
}

// pressBodies is press with bodies of size bytes.
func pressBodies(ctx context.Context, s *driver.Serve, o *driver.Oracle, clients int, dir string, size int, while time.Duration) *load {
	ctx, cancel := context.WithTimeout(ctx, while)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	l := &load{}
	for c := range clients {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for n := uint64(0); ctx.Err() == nil; n++ {
				begun := time.Now()
				// The request itself is not cut: an ack that comes late is an ack.
				err := o.Put(context.WithoutCancel(ctx), client, s.At.S3, driver.Name(fmt.Sprintf("%s/c%d", dir, c), n, size), 0)
				mu.Lock()
				refused, isStatus := errors.AsType[*driver.StatusError](err)
				switch {
				case err == nil:
					l.acked++
					l.took = append(l.took, time.Since(begun))
				case isStatus && refused.Status == http.StatusServiceUnavailable:
					l.refuse++
				default:
					l.other = append(l.other, err)
				}
				mu.Unlock()
				if err != nil {
					time.Sleep(100 * time.Millisecond) // as clients back off
				}
			}
		})
	}
	wg.Wait()
	return l
}

// best is a number of clients with which the door is at its best.
const best = 128

// TestTortureOverload offers four times the clients that the door does best with, in turn with
// those, and compares what is acked; then it lets a small spool run full before a slow
// destination: senders are held, then told to slow down, nothing acked is lost, and it goes on as
// soon as there is room.
func TestTortureOverload(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "overload", "records")
	binary := driver.Build(t)
	rounds, while := torture.Share(0, 3, 10), time.Duration(torture.Share(0, 3, 10))*time.Second
	dir := t.TempDir()
	s := &driver.Serve{Binary: binary, Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), To: "s3://nowhere",
		Env: []string{"AWS_ENDPOINT_URL_S3=http://127.0.0.1:1", "AWS_REGION=none", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"}}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	o := driver.NewOracle()
	var few, peak, flood, ratios []float64
	var worst time.Duration
	for round := range rounds {
		before := press(t.Context(), s, o, 1, fmt.Sprint("before", round), 500*time.Millisecond).quantile(0.5)
		rate := func(clients int) float64 {
			l := press(t.Context(), s, o, clients, fmt.Sprintf("r%d-%d", round, clients), while)
			if len(l.other) > 0 || l.refuse > 0 {
				t.Fatalf("%d clients: %d refused, others failed: %v", clients, l.refuse, l.other)
			}
			worst = max(worst, l.quantile(0.99))
			return float64(l.acked) / while.Seconds()
		}
		few, peak, flood = append(few, rate(best/4)), append(peak, rate(best)), append(flood, rate(4*best))
		ratios = append(ratios, flood[round]/max(few[round], peak[round]))
		calm := press(t.Context(), s, o, 1, fmt.Sprint("calm", round), 500*time.Millisecond)
		if got := calm.quantile(0.5); got == 0 || got > max(100*time.Millisecond, 4*before) {
			t.Errorf("right after the overload an ack takes %v, before it took %v", got, before)
		}
	}
	ratio := median(ratios)
	if ratio < 0.8 {
		t.Errorf("goodput at four times the clients is %.2f of the peak", ratio)
	}
	if worst > 2*time.Second {
		t.Errorf("p99 of the acks is %v", worst)
	}
	s.Kill()
	row.Ran(o.Acked(), 0)
	held := fullSpool(t, row, binary)
	row.Note = fmt.Sprintf("%.0f acks/s from %d clients, %.0f from %d, %.0f from %d: %.2f of the peak, p99 %v; %s",
		median(few), best/4, median(peak), best, median(flood), 4*best, ratio, worst.Round(time.Millisecond), held)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// fullSpool is the second half of the overload: the bucket takes less than arrives.
func fullSpool(t *testing.T, row *torture.Row, binary string) string {
	t.Helper()
	s3 := testserver.Versitygw(t)
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := faultproxy.New(target, 1, faultproxy.Rule{Fault: faultproxy.SlowAnswer, Delay: 400 * time.Millisecond})
	front, err := faultproxy.Listen("127.0.0.1:0", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "indelible.yaml")
	if err := os.WriteFile(config, []byte("doors:\n  s3:\n    max_hold: 1s\nproof:\n  checkpoint_every: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &driver.Serve{
		Binary: binary, Data: filepath.Join(dir, "data"), To: "s3://" + s3.Bucket, Config: config, Log: filepath.Join(dir, "log"), Args: []string{"--max-spool", "4MiB"},
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + front.Addr, "AWS_REGION=" + s3.Region, "AWS_ACCESS_KEY_ID=" + s3.Access, "AWS_SECRET_ACCESS_KEY=" + s3.Secret},
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	o := driver.NewOracle()
	flood := press(t.Context(), s, o, 64, "full", time.Duration(torture.Share(0, 8, 60))*time.Second)
	if len(flood.other) > 0 {
		t.Errorf("a sender got another answer than 200 or 503: %v", flood.other[0])
	}
	if flood.refuse == 0 {
		t.Error("the spool never ran full: this shows nothing")
	}
	if p99 := flood.quantile(0.99); p99 > 3*time.Second {
		t.Errorf("p99 of the acks is %v with a hold of 1s", p99)
	}
	_, peak, err := driver.Memory(s.PID())
	if err == nil && peak > besiegedBase {
		t.Errorf("VmHWM is %d MiB", peak>>20)
	}
	proxy.Set()
	for end := time.Now().Add(10 * time.Second); ; {
		if l := press(t.Context(), s, o, 8, fmt.Sprint("again", time.Now().UnixNano()), 500*time.Millisecond); l.refuse == 0 && l.acked > 0 {
			break
		}
		if time.Now().After(end) {
			t.Error("ten seconds after the destination took records again, senders are still refused")
			break
		}
	}
	if err := settle(t.Context(), s, o, row, filepath.Join(s3.Root, s3.Bucket)); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("spool of 4 MiB before a slow bucket: %d acked, %d told to slow down, p99 %v", flood.acked, flood.refuse, flood.quantile(0.99).Round(time.Millisecond))
}
