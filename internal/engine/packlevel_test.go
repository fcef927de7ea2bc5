package engine

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"indelible/internal/layout/pack"
	"indelible/internal/record"
)

// A pack is compressed for speed where its first record has waited so long, and not otherwise; what is in it is the same.
func TestPackLevel(t *testing.T) {
	write := func(fastAfter, waited time.Duration) []byte {
		random := rand.New(rand.NewPCG(1, 2))
		var file bytes.Buffer
		w, err := packFormat{mustLayout(), fastAfter}.New(&file, "gw")
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		for i := range 200 {
			body := []byte(payload(random, i))
			info := record.Info{Seq: record.Seq(i + 1), Time: begun.Add(-waited), Key: keyOf(i), Size: int64(len(body))}
			if i > 0 {
				info.Time = begun // the first one decides
			}
			if err := w.Add(record.Row{Info: info}, body); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		rows := 0
		for row, err := range packRows(t.Context(), bytes.NewReader(file.Bytes()), int64(file.Len()), true, (*pack.Reader).Brief) {
			if err != nil {
				t.Fatal(err)
			}
			rows++
			if int64(len(row.Body)) != row.Info.Size {
				t.Fatal(row.Info.Seq)
			}
		}
		if rows != 200 {
			t.Fatalf("%d rows", rows)
		}
		return file.Bytes()
	}
	usual := len(write(0, time.Hour))
	for _, one := range []struct {
		fastAfter, waited time.Duration
		fast              bool
	}{{time.Minute, 0, false}, {time.Minute, 59 * time.Second, false}, {time.Minute, time.Minute, true}, {time.Minute, time.Hour, true}, {time.Minute, -time.Hour, false}} {
		n := len(write(one.fastAfter, one.waited))
		if fast := n > usual+usual/50; fast != one.fast { // 5 % more
			t.Errorf("a record that waited %v, fast after %v: %d bytes, and %d at the usual level", one.waited, one.fastAfter, n, usual)
		}
	}
}
