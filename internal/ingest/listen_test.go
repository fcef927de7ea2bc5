package ingest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/config"
)

func TestListenTLS(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	first := writeCertificate(t, files, 1)
	at := config.Listener{Name: "s3", Path: "doors.s3", Addr: "127.0.0.1:0", TLS: files}
	ln, err := Listen(at, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") })}
	go func() { _ = server.Serve(ln) }()
	defer func() { _ = server.Close() }()
	get := func(trusted *x509.Certificate) error {
		roots := x509.NewCertPool()
		roots.AddCert(trusted)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		defer client.CloseIdleConnections()
		resp, err := client.Get(at.URL(ln.Addr().String()))
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := get(first); err != nil {
		t.Fatal(err)
	}
	// A renewal that is not complete changes nothing, a complete one is taken.
	if err := os.WriteFile(files.Cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := get(first); err != nil {
		t.Errorf("in the middle of a renewal: %v", err)
	}
	second := writeCertificate(t, files, 2)
	if err := get(second); err != nil {
		t.Errorf("after a renewal: %v", err)
	}
	if err := get(first); err == nil {
		t.Error("the certificate before is still used")
	}
	at.TLS.Cert = filepath.Join(dir, "nosuch.pem")
	if _, err := Listen(at, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "doors.s3.tls") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

// writeCertificate makes a certificate of its own for 127.0.0.1.
func writeCertificate(t *testing.T, files config.TLS, serial int64) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().AddDate(1, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
