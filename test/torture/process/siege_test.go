package process

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"indelible/internal/store/faultproxy"
	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// Bounds of a siege, in the default configuration. Measured: 54 MiB and 103 KiB for each
// connection that is sending, half of it what the garbage collector lets lie.
const (
	besiegedBase    = 96 << 20  // bytes of memory, whatever the backlog
	besiegedPerConn = 128 << 10 // bytes of memory for each open connection
	goroutinesSpare = 50        // beyond one for each connection
	filesSpare      = 150       // beyond one for each connection: 64 are files of the spool
)

// TestTortureSiege has thousands of connections fill a backlog while nothing
// answers at the destination: memory, goroutines and descriptors stay within their bounds; then the
// destination comes back, everything is delivered once, and what was taken is given back.
func TestTortureSiege(t *testing.T) {
	torture.NeedsShare(t)
	backlog, conns := int64(torture.Share(0, 256, 10<<10))<<20, torture.Share(0, 500, 2000)
	const size = 64 << 10
	row := torture.Report(t, "siege: backlog, outage, connections", "records")
	s3 := testserver.Versitygw(t)
	target, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	front, err := faultproxy.Listen("127.0.0.1:0", faultproxy.New(target, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	front.Refuse()
	dir := t.TempDir()
	s := &driver.Serve{
		Binary: driver.Build(t), Data: filepath.Join(dir, "data"), To: "s3://" + s3.Bucket, Log: filepath.Join(dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=http://" + front.Addr, "AWS_REGION=" + s3.Region, "AWS_ACCESS_KEY_ID=" + s3.Access, "AWS_SECRET_ACCESS_KEY=" + s3.Secret},
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	o := driver.NewOracle()
	var sent atomic.Int64
	var all sync.WaitGroup
	for c := range conns {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
			for {
				n := sent.Add(1)
				if n*size > backlog {
					<-t.Context().Done() // its connection stays open until the test ends
					client.CloseIdleConnections()
					return
				}
				if err := o.Put(t.Context(), client, s.At.S3, driver.Name(fmt.Sprint("siege/", c%7), uint64(n), size), 0); err != nil {
					t.Errorf("record %d: %v", n, err)
					return
				}
			}
		})
	}
	for sent.Load()*size <= backlog && !t.Failed() {
		time.Sleep(50 * time.Millisecond)
	}
	time.Sleep(time.Second)
	peakGo, files := goroutines(t, s), descriptors(t, s)
	_, peak, err := driver.Memory(s.PID())
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	if bound := int64(besiegedBase + conns*besiegedPerConn); peak > bound {
		t.Errorf("VmHWM is %d MiB, more than %d", peak>>20, bound>>20)
	}
	if peakGo > conns+goroutinesSpare {
		t.Errorf("%d goroutines for %d connections", peakGo, conns)
	}
	if files > conns+filesSpare {
		t.Errorf("%d descriptors for %d connections", files, conns)
	}
	if err := front.Accept(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	if err := s.Delivered(t.Context(), 20*time.Minute); err != nil {
		t.Fatal(err)
	}
	took := time.Since(back)
	_, after, err := driver.Memory(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	if bound := int64(besiegedBase + conns*besiegedPerConn); after > bound {
		t.Errorf("VmHWM is %d MiB after the delivery, more than %d", after>>20, bound>>20)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	f, err := o.Check(filepath.Join(s3.Root, s3.Bucket))
	if err != nil {
		t.Fatal(err)
	}
	row.Ran(o.Acked(), o.Acked())
	row.Count(f.Lost, f.Duplicated, f.Corrupted)
	if err := f.Err(); err != nil {
		t.Error(err)
	}
	row.Note = fmt.Sprintf("%d MiB backlog, %d connections: VmHWM %d MiB (%d after delivery), %d goroutines, %d descriptors; delivered in %v",
		backlog>>20, conns, peak>>20, after>>20, peakGo, files, took.Round(time.Second))
}

// goroutines asks the daemon's metrics.
func goroutines(t *testing.T, s *driver.Serve) int {
	t.Helper()
	resp, err := http.Get("http://" + s.At.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\ngo_goroutines ")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		t.Fatalf("no go_goroutines in the metrics: %v", err)
	}
	return n
}

func descriptors(t *testing.T, s *driver.Serve) int {
	t.Helper()
	n, err := driver.Descriptors(s.PID())
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	return n
}
