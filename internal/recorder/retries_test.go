package recorder

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What is remembered of requests is bounded, however long their URLs are.
func TestRetriesAreSmall(t *testing.T) {
	var r retries
	long := strings.Repeat("x", 256<<10)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	now := time.Now()
	for i := range 200 {
		r.link(fmt.Sprint(long, i), fmt.Sprint(i), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("200 requests take %d bytes", grown)
	}
	if got := r.link(fmt.Sprint(long, 7), "again", now); got != "7" {
		t.Errorf("linked to %q", got)
	}
	runtime.KeepAlive(&r)
}
