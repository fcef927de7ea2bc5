package dir_test

import (
	"sync/atomic"
	"testing"

	"indelible/internal/disk/faultdisk"
	"indelible/internal/disk/osdisk"
	"indelible/internal/store"
	"indelible/internal/store/dir"
	"indelible/internal/store/storetest"
)

// Two processes put the same bytes under one key, each with its own metadata. The one whose
// metadata the object does not show is told that the key exists: what it would note of the
// object otherwise is not what a reader finds.
func TestSameBytesFromTwoProcesses(t *testing.T) {
	fsys, err := osdisk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	object := func(log string) store.Object {
		o := storetest.Object("team/key", "same")
		o.Meta = map[string]string{"indelible-log": log}
		return o
	}
	var links atomic.Int32
	first := dir.Open(faultdisk.New(fsys, func(c faultdisk.Call) *faultdisk.Fault {
		if c.Op == faultdisk.Link && links.Add(1) == 2 { // the object has its name, and not yet its attributes
			storetest.MustPut(t, dir.Open(fsys), object("second"))
		}
		return nil
	}))
	if _, err := first.Put(t.Context(), object("first")); store.ClassOf(err) != store.Exists {
		t.Errorf("the first put: %v", err)
	}
	info, err := first.Head(t.Context(), "team/key", store.GetOptions{})
	if err != nil || info.Meta["indelible-log"] != "second" {
		t.Errorf("the object shows %v, %v", info.Meta, err)
	}
	if links.Load() < 2 {
		t.Error("nothing came in between")
	}
}
