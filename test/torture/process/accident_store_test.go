//go:build unix

package process

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// storeAccidents befall the store, and what lies between it and the daemon.
var storeAccidents = []accident{
	{name: "the store's certificate expires", run: func(m *mishap) error {
		front, err := newTLSFront(m)
		if err != nil {
			return err
		}
		defer func() { _ = front.ln.Close() }()
		for i, e := range m.serve.Env {
			if strings.HasPrefix(e, "AWS_ENDPOINT_URL_S3=") {
				m.serve.Env[i] = "AWS_ENDPOINT_URL_S3=https://" + front.ln.Addr().String()
			}
		}
		m.serve.Env = append(m.serve.Env, "AWS_CA_BUNDLE="+front.bundle)
		if err := m.begin(); err != nil {
			return err
		}
		if err := front.show(-time.Hour); err != nil {
			return err
		}
		m.front.Refuse() // ends the connections that were made before
		if err := m.front.Accept(); err != nil {
			return err
		}
		if err := m.must("expired", 20); err != nil {
			return err
		}
		if err := m.until("status tells of the certificate", func() (bool, string) {
			st, err := m.serve.Status(m.ctx)
			d := st.Destination
			return err == nil && d.State == "configuration" && strings.Contains(d.LastError, "renew it") && strings.Contains(d.Remedy(), "certificate"), fmt.Sprintf("%+v %v", d, err)
		}); err != nil {
			return err
		}
		if said, err := m.serve.Run(m.ctx, "doctor"); err == nil || !strings.Contains(string(said), "renew it there, or set this machine's clock") {
			return fmt.Errorf("doctor on an expired certificate: %v: %s", err, said)
		}
		if err := front.show(time.Hour); err != nil {
			return err
		}
		return m.settled() // without a restart
	}},
	{name: "the store loses objects that it had confirmed", run: func(m *mishap) error {
		if err := m.configure("scrub:\n  every: 2s\n  sample: 100%\n"); err != nil {
			return err
		}
		if err := errors.Join(m.begin(), m.must("eaten", 10), m.proven()); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(m.bucket, "eaten")); err != nil {
			return err
		}
		if err := m.until("a scrub finds it", func() (bool, string) {
			st, err := m.serve.Status(m.ctx)
			return err == nil && st.Scrub != nil && st.Scrub.Faults >= 10 && strings.Contains(st.Health().Rest, "indelible verify"), fmt.Sprintf("%+v %v", st.Scrub, err)
		}); err != nil {
			return err
		}
		return m.settled("eaten")
	}},
	{name: "a proxy answers 200 to everything", run: func(m *mishap) error {
		return m.between(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><body>Please sign in to this network</body></html>")
		})
	}},
	{name: "a proxy answers 200 with an ETag to everything", long: true, run: func(m *mishap) error {
		return m.between(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", `"d41d8cd98f00b204e9800998ecf8427e"`)
			w.WriteHeader(http.StatusOK)
		})
	}},
	{name: "a proxy redirects everything to a page", long: true, run: func(m *mishap) error {
		return m.between(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Redirect(w, r, "http://"+m.serve.At.Admin+"/", http.StatusFound)
		})
	}},
	{name: "a proxy answers 404 to everything", long: true, run: func(m *mishap) error {
		return m.between(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			http.Error(w, "<html>not here</html>", http.StatusNotFound)
		})
	}},
	{name: "the store answers a byte at a time", long: true, run: func(m *mishap) error {
		return m.between(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Length", "400")
			for range 400 {
				if _, err := io.WriteString(w, "x"); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		})
	}},
	{name: "the store shows an old list and an old checkpoint", run: (*mishap).stale},
	{name: "the store's directory may not be written", run: func(m *mishap) error {
		return m.asNobody(func(user []string) error {
			m.toDir()
			if err := errors.Join(os.MkdirAll(m.bucket, 0o700), os.Chown(m.bucket, 65534, 65534)); err != nil {
				return err
			}
			if err := m.begin(); err != nil {
				return err
			}
			if err := errors.Join(os.Chown(m.bucket, 0, 0), os.Chmod(m.bucket, 0o755)); err != nil {
				return err
			}
			if err := m.must("closed", 20); err != nil {
				return err
			}
			time.Sleep(2 * time.Second)
			if err := os.Chown(m.bucket, 65534, 65534); err != nil {
				return err
			}
			return m.settled()
		})
	}},
}

// configure adds to the configuration.
func (m *mishap) configure(more string) error {
	return os.WriteFile(m.serve.Config, []byte(quick+more), 0o644)
}

// between puts a server in the place of the store for some seconds, under load and over a restart.
func (m *mishap) between(handler http.HandlerFunc) error {
	if err := m.begin(); err != nil {
		return err
	}
	m.front.Refuse()
	ln, err := net.Listen("tcp", m.front.Addr)
	for range 100 { // a connection that ends may hold the port
		if err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
		ln, err = net.Listen("tcp", m.front.Addr)
	}
	if err != nil {
		return err
	}
	fake := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = fake.Serve(ln) }() // ends with fake.Close
	defer func() { _ = fake.Close() }()
	if err := m.must("between", 40); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	m.serve.Kill()
	if err := m.serve.Start(); err != nil {
		return fmt.Errorf("start behind it: %w", err)
	}
	if err := m.must("behind", 10); err != nil {
		return err
	}
	time.Sleep(3 * time.Second)
	if err := fake.Close(); err != nil {
		return err
	}
	return m.settled()
}

// stale has the store show what it showed some seconds ago: lists and the checkpoint.
func (m *mishap) stale() error {
	if err := m.begin(); err != nil {
		return err
	}
	old := filepath.Join(m.dir, "then")
	if err := copyFile(m.bucket, old); err != nil {
		return err
	}
	if err := errors.Join(m.must("newer", 30), m.proven()); err != nil {
		return err
	}
	m.serve.Kill()
	now := m.bucket + ".now"
	if err := errors.Join(os.Rename(m.bucket, now), os.Rename(old, m.bucket)); err != nil {
		return err
	}
	back := make(chan error, 1)
	time.AfterFunc(1500*time.Millisecond, func() {
		back <- errors.Join(os.Rename(m.bucket, old), os.Rename(now, m.bucket))
	})
	err := m.serve.Start() // it may say that the bucket was put back: then it has to lead out
	if err := <-back; err != nil {
		return err
	}
	if err == nil {
		m.send("meanwhile", 10)
	}
	return m.settled()
}

// tlsFront speaks TLS before the store.
type tlsFront struct {
	ln     net.Listener
	bundle string // the authority's certificate
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	shown  atomic.Pointer[tls.Certificate]
}

func newTLSFront(m *mishap) (*tlsFront, error) {
	f := &tlsFront{bundle: filepath.Join(m.dir, "ca.pem")}
	var err error
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	f.ca = &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, f.ca, f.ca, &f.key.PublicKey, f.key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(f.bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	if err := f.show(time.Hour); err != nil {
		return nil, err
	}
	f.ln, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.shown.Load(), nil }})
	if err != nil {
		return nil, err
	}
	go f.serve(m.front.Addr)
	return f, nil
}

// show has the front show a certificate that is valid for so long, or was until so long ago.
func (f *tlsFront) show(valid time.Duration) error {
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, f.ca, &f.key.PublicKey, f.key)
	if err != nil {
		return err
	}
	f.shown.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: f.key})
	return nil
}

// serve passes what comes on, until the listener is closed.
func (f *tlsFront) serve(to string) {
	for {
		c, err := f.ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			up, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer func() { _ = up.Close() }()
			go func() {
				_, _ = io.Copy(up, c)
				_ = up.Close()
			}()
			_, _ = io.Copy(c, up)
		}()
	}
}
