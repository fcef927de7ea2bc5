package demo

import (
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"indelible/internal/demo/s3server"
	"indelible/internal/store"
	"indelible/internal/store/dir"
)

// cloud is an S3 server in this process that can be taken away and brought back. Its
// buckets are directories, one for each way in which the records are sent.
type cloud struct {
	root    string // the directory of all buckets
	addr    string // host:port; the same over all outages
	buckets map[string]*dir.Store
	handler *s3server.Server
	slow    atomic.Bool // every request is answered with 503 SlowDown

	mu  sync.Mutex
	srv *http.Server // nil while connections are refused; guarded by mu
}

// newCloud makes the buckets below root, and serves them.
func newCloud(root string, names ...string) (*cloud, error) {
	c := &cloud{root: root, addr: freeAddr(), buckets: map[string]*dir.Store{}, handler: &s3server.Server{Buckets: map[string]store.Store{}}}
	for _, name := range names {
		d, err := dir.OpenPath(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		c.buckets[name], c.handler.Buckets[name] = d, d
	}
	return c, c.bringBack()
}

// ServeHTTP answers, or says 503.
func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.slow.Load() {
		s3server.SlowDown(w, r)
		return
	}
	c.handler.ServeHTTP(w, r)
}

func (c *cloud) url() string { return "http://" + c.addr }

// takeAway closes the listener and cuts every connection: new ones are refused.
func (c *cloud) takeAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.srv != nil {
		_ = c.srv.Close() // what it could not close in order is cut all the same
		c.srv = nil
	}
}

// bringBack listens again on the same address.
func (c *cloud) bringBack() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ln, err := net.Listen("tcp", c.addr)
	if err != nil {
		return fmt.Errorf("serve the demo's S3: %w", err)
	}
	srv := &http.Server{Handler: c, ErrorLog: log.New(io.Discard, "", 0)}
	c.srv = srv
	go func() { _ = srv.Serve(ln) }() // ends with takeAway
	return nil
}

// close takes the server away, and lets go of the directories.
func (c *cloud) close() error {
	c.takeAway()
	var errs []error
	for _, d := range c.buckets {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// file is where an object's bytes are.
func (c *cloud) file(bucket, key string) string {
	return filepath.Join(c.root, bucket, filepath.FromSlash(key))
}

// flip changes one bit of one byte of a file.
func flip(file string, at int64) (was, is byte, err error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return 0, 0, err
	}
	was, is = b[0], b[0]^1
	_, err = f.WriteAt([]byte{is}, at)
	return was, is, err
}

// freeAddr is an address on loopback with a port below those that systems give out by
// themselves, so that nobody gets it by chance while it is not listened on.
func freeAddr() string {
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close() // nothing was written to it
			return addr
		}
	}
	return "127.0.0.1:0"
}
