package s3_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/store"
	"indelible/internal/store/s3"
	"indelible/internal/testserver"
)

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // of its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	der, key := a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().AddDate(-5, 0, 0), NotAfter: time.Now().AddDate(5, 0, 0),
	})
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		err = os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	a.key, a.cert = key, cert
	return a
}

func (a *authority) sign(t *testing.T, c *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// server answers 404 to everything, with such a certificate.
func (a *authority) server(t *testing.T, c *x509.Certificate) *testserver.Server {
	t.Helper()
	der, key := a.sign(t, c)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return &testserver.Server{Endpoint: s.URL, Region: "us-east-1", Bucket: "audit", Access: "a", Secret: "b"}
}

// An error that is about the store's certificate says what to do about that, and so does the doctor.
func TestCertificates(t *testing.T) {
	known, unknown := newAuthority(t), newAuthority(t)
	t.Setenv("AWS_CA_BUNDLE", known.file)
	day := func(n int) time.Time { return time.Now().AddDate(0, 0, n) }
	here := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, c := range []struct {
		name string
		by   *authority
		cert x509.Certificate
		want string
	}{
		{"good", known, x509.Certificate{NotBefore: day(-9), NotAfter: day(9), IPAddresses: here}, ""},
		{"expired", known, x509.Certificate{NotBefore: day(-9), NotAfter: day(-1), IPAddresses: here}, "renew it there, or set this machine's clock"},
		{"not yet valid", known, x509.Certificate{NotBefore: day(1), NotAfter: day(9), IPAddresses: here}, "is valid from " + day(1).UTC().Format(time.DateOnly)},
		{"unknown authority", unknown, x509.Certificate{NotBefore: day(-9), NotAfter: day(9), IPAddresses: here}, "AWS_CA_BUNDLE"},
		{"another name", known, x509.Certificate{NotBefore: day(-9), NotAfter: day(9), DNSNames: []string{"s3.example"}}, "for another name"},
	} {
		s := open(t, c.by.server(t, &c.cert), s3.Config{})
		_, err := s.Head(context.Background(), "k", store.GetOptions{})
		if c.want == "" {
			if store.ClassOf(err) != store.NotFound {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if store.ClassOf(err) != store.Configuration || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v: %v", c.name, store.ClassOf(err), err)
		}
		if f := check(t, s)["bucket"]; f.State != s3.Failed || !strings.Contains(f.Remedy, c.want) {
			t.Errorf("%s: the doctor says %+v", c.name, f)
		}
	}
}
