package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/record"
	"indelible/internal/spool"
)

// onFile faults every call of op on a file whose name has that end.
func onFile(op faultdisk.Op, suffix string, err error) func(faultdisk.Call) *faultdisk.Fault {
	return func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == op && strings.HasSuffix(c.Name, suffix) {
			return &faultdisk.Fault{Err: err}
		}
		return nil
	}
}

// TestNoReceiptForAFailedCopy sends the same bytes many times at once while the
// disk refuses to write: none may be answered with the receipt of a copy that failed.
func TestNoReceiptForAFailedCopy(t *testing.T) {
	fd := faultdisk.New(crashdisk.New(), nil)
	s := openOn(t, fd, spool.Options{})
	mustAppend(t, s, rec("", "before", []byte("1")))
	fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
		if (c.Op == faultdisk.Write || c.Op == faultdisk.Create) && strings.HasSuffix(c.Name, ".seg") {
			time.Sleep(time.Millisecond) // the copies gather
			return &faultdisk.Fault{Err: syscall.ENOSPC}
		}
		return nil
	})
	for round := range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				r := rec("", fmt.Sprint("same", round), []byte("2"))
				var err error
				if i%2 == 0 {
					_, err = s.Append(ctx, r)
				} else {
					_, err = s.AppendAll(ctx, []record.Record{r})
				}
				if !errors.Is(err, record.ErrPushback) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("append on a full disk: %v", err)
				}
			})
		}
		wg.Wait()
		cancel()
	}
	fd.SetDecide(nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
