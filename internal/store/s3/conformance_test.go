package s3_test

import (
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/store/storetest"
	"indelible/internal/testserver"
)

// The driver keeps the contract against a real server: its own bucket for each case.
func TestConformance(t *testing.T) {
	server := testserver.Versitygw(t)
	var n atomic.Int32
	storetest.Run(t, storetest.Options{FileNames: true}, func(t *testing.T) store.Store {
		bucket := "bucket-" + strconv.Itoa(int(n.Add(1)))
		if err := os.Mkdir(filepath.Join(server.Root, bucket), 0o700); err != nil {
			t.Fatal(err)
		}
		return open(t, server, s3.Config{Bucket: bucket})
	})
}
