package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"indelible/internal/testserver"
	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

const (
	slowSync    = 2 * time.Second
	slowClients = 400
	slowBody    = 200 << 10 // bytes, all of it in a segment
)

// TestTortureSlow has hundreds of clients send large records to a disk whose syncs take two
// seconds: the doors get slow with it, status and metrics say why, and the bodies of those who wait
// do not pile up in memory. Once the disk is well again, so are the acks.
func TestTortureSlow(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "slow disk: a sync takes 2 s", "records")
	binary, forgetfs := driver.Build(t), buildForgetfs(t)
	dir := t.TempDir()
	disk := mount(t, forgetfs, filepath.Join(dir, "disk"))
	defer disk.Close()
	s3 := testserver.Versitygw(t) // what delivers is not on the slow disk
	s := &driver.Serve{
		Binary: binary, Data: filepath.Join(disk.Dir, "data"), To: "s3://" + s3.Bucket, Log: filepath.Join(dir, "log"),
		Env: []string{"AWS_ENDPOINT_URL_S3=" + s3.Endpoint, "AWS_REGION=" + s3.Region, "AWS_ACCESS_KEY_ID=" + s3.Access, "AWS_SECRET_ACCESS_KEY=" + s3.Secret},
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	o := driver.NewOracle()
	pressLarge := func(name string, clients int, while time.Duration) *load {
		return pressBodies(t.Context(), s, o, clients, name, slowBody, while)
	}
	well := pressLarge("well", 4, 2*time.Second)
	if err := disk.Tell("slow " + slowSync.String()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var ill *load
	wg.Go(func() { ill = pressLarge("ill", slowClients, time.Duration(torture.Share(0, 12, 60))*time.Second) })
	time.Sleep(8 * time.Second)
	st, err := s.Status(t.Context())
	if err != nil || st.Disk.SyncSeconds < slowSync.Seconds()/2 {
		t.Errorf("status does not say that the disk is slow: %+v, %v", st.Disk, err)
	}
	if out, err := s.Run(t.Context(), "status"); err != nil || !strings.Contains(string(out), "slow: the newest sync took") {
		t.Errorf("status does not say it in words: %v\n%s", err, out)
	}
	slow, err := slowSyncs(t.Context(), s)
	if err != nil || slow == 0 {
		t.Errorf("the metrics count %d slow syncs, %v", slow, err)
	}
	wg.Wait()
	_, peak, err := driver.Memory(s.PID())
	if most := int64(besiegedBase + slowClients*besiegedPerConn); err == nil && peak > most {
		t.Errorf("VmHWM is %d MiB with %d clients of %d KiB waiting for the disk: want at most %d", peak>>20, slowClients, slowBody>>10, most>>20)
	}
	if err := errors.Join(ill.other...); err != nil {
		t.Errorf("a sender got another answer than 200 or 503: %v", err)
	}
	if ill.acked == 0 {
		t.Error("nothing was acked")
	}
	if ill.quantile(0.5) < slowSync/2 {
		t.Errorf("half of the acks came within %v, and no sync takes less than %v", ill.quantile(0.5), slowSync)
	}
	if err := disk.Tell("slow 0s"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(slowSync)
	again := pressLarge("again", 4, 2*time.Second)
	if got, most := again.quantile(0.5), max(200*time.Millisecond, 4*well.quantile(0.5)); again.acked == 0 || got > most {
		t.Errorf("once the disk is well again an ack takes %v", got)
	}
	if err := settle(t.Context(), s, o, row, filepath.Join(s3.Root, s3.Bucket)); err != nil {
		t.Error(err)
	}
	row.Ran(o.Acked(), 0)
	row.Note = fmt.Sprintf("%d clients with %d KiB: half of the acks in %v, the last of a hundred in %v, %d told to slow down, VmHWM %d MiB",
		slowClients, slowBody>>10, ill.quantile(0.5).Round(100*time.Millisecond), ill.quantile(0.99).Round(100*time.Millisecond), ill.refuse, peak>>20)
}

// slowSyncs is how many syncs took longer than a second, by the histogram.
func slowSyncs(ctx context.Context, s *driver.Serve) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.At.Admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	fast, all := 0, 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.Atoi(value)
		if bound, ok := strings.CutPrefix(name, `indelible_fsync_seconds_bucket{le="`); ok {
			if le, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"}`), 64); err == nil && le <= 1 {
				fast = max(fast, n)
			}
		}
		if name == "indelible_fsync_seconds_count" {
			all = n
		}
	}
	return all - fast, nil
}
