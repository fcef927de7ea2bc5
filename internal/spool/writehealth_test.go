package spool_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/disk/faultdisk"
	"indelible/internal/spool"
)

// A file system that turned read-only is told although its own figures do not say so, and that
// it takes writes again is found out without a sender: a load balancer sends nobody to a daemon that is not ready.
func TestWriteError(t *testing.T) {
	for _, how := range []string{"the active segment fails", "no segment can be begun"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fd := faultdisk.New(crashdisk.New(), nil)
				s := openOn(t, fd, spool.Options{})
				if how == "the active segment fails" {
					mustAppend(t, s, rec("", "before", []byte("1")))
				}
				fd.SetDecide(func(c faultdisk.Call) *faultdisk.Fault {
					if c.Op.Mutates() {
						return &faultdisk.Fault{Err: syscall.EROFS}
					}
					return nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if _, err := s.Append(ctx, rec("", "k", []byte("2"))); err == nil {
					t.Fatal("an ack")
				}
				look := func(want bool) {
					t.Helper()
					s.ProbeDisk()
					synctest.Wait()
					if got := s.Stats().WriteError; strings.Contains(got, syscall.EROFS.Error()) != want {
						t.Errorf("write error %q, want one: %v", got, want)
					}
				}
				for range 3 {
					look(true)
					time.Sleep(6 * time.Second)
				}
				fd.SetDecide(nil)
				look(false)
				mustAppend(t, s, rec("", "after", []byte("3")))
				look(false)
			})
		})
	}
}
