package proof

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
)

// Whoever can write to the bucket can fill history/: neither large objects nor many take memory without a bound,
// and what was not compared is told.
func TestFloodedHistory(t *testing.T) {
	b := filled(t)
	text := []byte("test-log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— test-log AAAAAA==\n")
	large := append(bytes.Clone(text), bytes.Repeat([]byte("— x AAAAAA==\n"), 1<<20)...)
	for i := range 64 { // 15 MiB each, all in one piece of memory
		b.st.put(b.path(fmt.Sprintf("history/9%019d", i)), large)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := b.verify(VerifyOptions{})
	runtime.ReadMemStats(&after)
	if !r.OK() || r.NoticeN < 64 {
		t.Errorf("faults %v, %d notices", r.Faults[:min(3, len(r.Faults))], r.NoticeN)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 256<<20 {
		t.Errorf("%d MiB were allocated", used>>20)
	}

	v := &verifier{key: b.key.public}
	v.findings.report = &v.report
	for range 2 * maxKept / (len(text) + keptEach) {
		v.addCheckpoint("x", text, history, v.start)
	}
	if v.unkept == 0 || v.addCheckpoint("x", text, current, v.start) == nil {
		t.Errorf("%d of %d were left out", v.unkept, len(v.checkpoints))
	}
}
