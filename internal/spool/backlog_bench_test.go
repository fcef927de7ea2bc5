//go:build unix

package spool_test

import (
	"context"
	"fmt"
	"testing"

	"indelible/internal/spool"
)

// BenchmarkAppendBehind has one producer append 1 KiB records behind a backlog
// of more and more segments, the filters of 64 of which are in memory: what an ack
// costs must not depend on how long the destination has been away.
func BenchmarkAppendBehind(b *testing.B) {
	for _, segments := range []int{32, 256, 2048} {
		b.Run(fmt.Sprint(segments), func(b *testing.B) {
			s := openDir(b, b.TempDir(), spool.Options{SegmentBytes: 32 << 10, FilterBytes: 64 * 128})
			n, body := 0, make([]byte, 1<<10)
			put := func() {
				n++
				copy(body, fmt.Sprintf("%12d", n))
				if _, err := s.Append(context.Background(), rec("bucket", fmt.Sprintf("2026-11-24/%d.json", n), body)); err != nil {
					b.Fatal(err)
				}
			}
			for s.Stats().Segments < segments {
				put()
			}
			cpu := cpuTime(b)
			b.ResetTimer()
			for b.Loop() {
				put()
			}
			b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-µs/record")
		})
	}
}
