package spool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"indelible/internal/disk"
)

// sickFile fails reads until it is well.
type sickFile struct {
	disk.File
	well time.Time
}

func (f *sickFile) ReadAt(b []byte, _ int64) (int, error) {
	if time.Now().Before(f.well) {
		return 0, errors.New("input/output error")
	}
	return len(b), nil
}

// A bad stretch of the disk is not waited for page by page; a failure long after it is waited for again.
func TestHopeComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hope
		sick := &sickFile{well: time.Now().Add(time.Hour)}
		f := patientFile{sick, &h}
		begun := time.Now()
		for range 1000 {
			if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
				t.Fatal("read from a sick file")
			}
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("1000 reads in vain took %v", took)
		}
		time.Sleep(7 * 24 * time.Hour)
		sick.well = time.Now().Add(30 * time.Millisecond)
		if _, err := f.ReadAt(make([]byte, 1), 0); err != nil {
			t.Errorf("an error of 30 ms a week later: %v", err)
		}
	})
}
