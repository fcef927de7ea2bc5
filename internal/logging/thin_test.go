package logging

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that refuses every write does not fill the log: of equal warnings a few are written,
// and how many were left out. Others are not touched.
func TestThinHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := slog.New(newThinHandler(slog.NewTextHandler(&b, nil))).With("component", "x")
		for n := range 1000 {
			log.Error("append", "error", errors.New("write segment 17: read-only file system"), "seq", n)
			log.Info("each is written")
		}
		log.Error("append", "error", errors.New("another reason"))
		time.Sleep(thinWindow)
		log.Error("append", "error", errors.New("write segment 18: read-only file system"), "seq", 1000)
		log.Error("append", "error", errors.New("write segment 18: read-only file system"), "seq", 1001)
		out := b.String()
		if n := strings.Count(out, "read-only"); n != thinBurst+2 {
			t.Errorf("%d equal errors were written", n)
		}
		if n := strings.Count(out, "equal_ones_left_out=995"); n != 1 {
			t.Errorf("what was left out is said %d times:\n%s", n, out[max(0, len(out)-500):])
		}
		if !strings.Contains(out, "another reason") || strings.Count(out, "each is written") != 1000 {
			t.Error("something else was left out")
		}
	})
}
