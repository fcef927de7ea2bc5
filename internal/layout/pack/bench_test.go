//go:build unix

package pack

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchRows(size, n int) []*Row {
	r := rand.New(rand.NewPCG(9, 10))
	rows := make([]*Row, n)
	for i := range rows {
		rows[i] = litellm(r, i+1, size)
	}
	return rows
}

// BenchmarkWrite writes packs of LiteLLM-like rows and reports the processor time a row, and the bytes
// stored for each byte of the bodies.
func BenchmarkWrite(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10} {
		rows := benchRows(size, 4000)
		for _, level := range []int{1, 3, 7, 11} {
			b.Run(fmt.Sprintf("%dKiB/level=%d", size>>10, level), func(b *testing.B) {
				var stored, raw int64
				begun := cpu()
				for b.Loop() {
					c := &counter{}
					w, err := NewWriter(c, Options{Log: "bench", Level: level})
					if err != nil {
						b.Fatal(err)
					}
					for _, r := range rows {
						if err := w.Add(r); err != nil {
							b.Fatal(err)
						}
					}
					if _, err := w.Close(); err != nil {
						b.Fatal(err)
					}
					stored, raw = c.n, w.Progress().Body
				}
				b.ReportMetric(float64((cpu()-begun).Nanoseconds())/float64(b.N*len(rows))/1e3, "cpu-µs/row")
				b.ReportMetric(float64(stored)/float64(raw), "stored/raw")
			})
		}
	}
}

// BenchmarkZstd compresses the bodies of BenchmarkWrite in pages, and does nothing else: what no writer of packs can go below.
func BenchmarkZstd(b *testing.B) {
	rows := benchRows(4<<10, 4000)
	var bodies []byte
	for _, r := range rows {
		bodies = append(bodies, r.Body...)
	}
	for _, level := range []int{1, 3} {
		b.Run(fmt.Sprintf("level=%d", level), func(b *testing.B) {
			pages, err := newCodec(level)
			if err != nil {
				b.Fatal(err)
			}
			var page []byte
			begun := cpu()
			for b.Loop() {
				for rest := bodies; len(rest) > 0; rest = rest[min(pageBytes, len(rest)):] {
					if page, err = pages.Encode(page, rest[:min(pageBytes, len(rest))]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64((cpu()-begun).Nanoseconds())/float64(b.N*len(rows))/1e3, "cpu-µs/row")
		})
	}
}

// BenchmarkRead reads packs whole, with and without bodies and digests, and single rows.
func BenchmarkRead(b *testing.B) {
	rows := benchRows(4<<10, 8000)
	file := write(b, rows)
	raw := 0
	for _, r := range rows {
		raw += len(r.Body)
	}
	whole := func(b *testing.B, each func(*Reader) error) {
		b.SetBytes(int64(raw))
		begun := cpu()
		for b.Loop() {
			r, _ := open(b, file)
			if err := each(r); err != nil {
				b.Fatal(err)
			}
		}
		used := cpu() - begun
		b.ReportMetric(float64(used.Microseconds())/float64(b.N*len(rows)), "cpu-µs/row")
		b.ReportMetric(float64(raw*b.N)/1e6/used.Seconds(), "MB/cpu-s")
	}
	b.Run("rows", func(b *testing.B) {
		whole(b, func(r *Reader) error {
			for _, err := range r.Rows(b.Context()) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("rows+sha256", func(b *testing.B) {
		whole(b, func(r *Reader) error {
			for row, err := range r.Rows(b.Context()) {
				if err != nil {
					return err
				}
				if sha256.Sum256(row.Body) != row.Info.Digest {
					return io.ErrUnexpectedEOF
				}
			}
			return nil
		})
	})
	b.Run("heads", func(b *testing.B) {
		whole(b, func(r *Reader) error {
			for _, err := range r.Heads(b.Context()) {
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	b.Run("one", func(b *testing.B) {
		reads, n := 0, 0
		for b.Loop() {
			c := &countReader{r: bytes.NewReader(file)}
			r, err := Open(c, int64(len(file)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := r.Seq(rows[len(rows)/2].Info.Seq); err != nil {
				b.Fatal(err)
			}
			reads, n = c.reads, c.bytes
		}
		b.ReportMetric(float64(reads), "reads")
		b.ReportMetric(float64(n)/1e3, "kB-read")
	})
}
