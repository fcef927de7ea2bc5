package process

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/torture"
	"indelible/internal/torture/driver"
)

// idle opens connections that send nothing, or the beginning of something.
func idle(t *testing.T, addr string, n int, begin string) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.DialTimeout("tcp", addr, 5*time.Second)
		if err != nil {
			t.Fatalf("connection %d: %v", len(conns), err)
		}
		if _, err := io.WriteString(c, begin); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	return conns
}

// TestTortureHostile has clients misbehave in every way that costs a server something, while
// good ones send: no good one notices, and when they are gone nothing of theirs is left.
func TestTortureHostile(t *testing.T) {
	torture.NeedsShare(t)
	row := torture.Report(t, "hostile clients", "connections")
	many := torture.Share(0, 1000, 10_000)
	dir := t.TempDir()
	s := &driver.Serve{Binary: driver.Build(t), Data: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log")}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	o := driver.NewOracle()
	press(t.Context(), s, o, 4, "warm", 500*time.Millisecond)
	time.Sleep(500 * time.Millisecond)
	beforeGo, beforeFiles := goroutines(t, s), descriptors(t, s)

	var hostile []net.Conn
	for _, addr := range []string{s.At.S3, s.At.HTTP, s.At.Admin} {
		hostile = append(hostile, idle(t, addr, many/4, "")...)
		hostile = append(hostile, idle(t, addr, 20, "PUT /audit/slow HTTP/1.1\r\nHost: x\r\nX-")...)
		hostile = append(hostile, idle(t, addr, 20, "PUT /audit/half HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhalf")...)
		hostile = append(hostile, idle(t, addr, 20, "PUT /audit/expect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")...)
		hostile = append(hostile, idle(t, addr, 20, "PUT /audit/chunk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")...)
		hostile = append(hostile, idle(t, addr, 20, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03GET / HTTP/9.9\r\n\r\n\r\n\r\n")...)
		hostile = append(hostile, idle(t, addr, 5, "GET /"+strings.Repeat("a", 64<<10)+" HTTP/1.1\r\nHost: x\r\n\r\n")...)
		hostile = append(hostile, idle(t, addr, 5, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X-A: "+strings.Repeat("b", 1000)+"\r\n", 60)+"\r\n")...)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // they drip, and some vanish
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			c := hostile[rng.IntN(len(hostile))]
			_, _ = c.Write([]byte("a")) // many are closed by the server by now
			if tcp, ok := c.(*net.TCPConn); ok && rng.IntN(20) == 0 {
				if rng.IntN(2) == 0 {
					_ = tcp.SetLinger(0) // a reset
				}
				_ = tcp.CloseWrite()
			}
		}
	}()
	good := press(t.Context(), s, o, 16, "good", time.Duration(torture.Share(0, 12, 90))*time.Second)
	_, peak, err := driver.Memory(s.PID())
	if err != nil {
		t.Skip("no /proc here:", err)
	}
	close(stop)
	<-done
	for _, c := range hostile {
		_ = c.Close()
	}
	if len(good.other) > 0 || good.refuse > 0 {
		t.Errorf("good clients failed: %d refused, %v", good.refuse, good.other)
	}
	if bound := int64(besiegedBase + len(hostile)*besiegedPerConn); peak > bound {
		t.Errorf("VmHWM is %d MiB, more than %d", peak>>20, bound>>20)
	}
	afterGo, afterFiles := 0, 0
	for end := time.Now().Add(45 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		afterGo, afterFiles = goroutines(t, s), descriptors(t, s)
		if afterGo <= beforeGo+30 && afterFiles <= beforeFiles+90 { // the spool keeps up to 64 files open
			break
		}
		if time.Now().After(end) {
			t.Errorf("%d goroutines and %d descriptors are left, of %d and %d before", afterGo, afterFiles, beforeGo, beforeFiles)
			break
		}
	}
	row.Ran(len(hostile), 0)
	if err := settle(t.Context(), s, o, row, filepath.Join(s.Data, "store")); err != nil {
		t.Error(err)
	}
	row.Note = fmt.Sprintf("good clients: %d acks, p99 %v, none failed; VmHWM %d MiB; goroutines %d before, %d after; descriptors %d, %d",
		good.acked, good.quantile(0.99).Round(time.Millisecond), peak>>20, beforeGo, afterGo, beforeFiles, afterFiles)
}
