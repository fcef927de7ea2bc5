package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"indelible/internal/config"
	"indelible/internal/disk/osdisk"
)

func openDisk(t *testing.T, dir string) *osdisk.FS {
	t.Helper()
	fsys, err := osdisk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fsys.Close() })
	return fsys
}

func TestLogName(t *testing.T) {
	dir := t.TempDir()
	data := openDisk(t, dir)
	// What a crash between create and rename leaves is in nobody's way.
	if err := os.WriteFile(filepath.Join(dir, "log.name.new"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	name, err := logName(data, "")
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9._-]+-[0-9a-f]{8}$`).MatchString(name) {
		t.Fatalf("first start: %q, %v", name, err)
	}
	for _, wanted := range []string{"", name} {
		if again, err := logName(data, wanted); err != nil || again != name {
			t.Errorf("next start wanting %q: %q, %v, want %q", wanted, again, err, name)
		}
	}
	if _, err := logName(data, "other"); !strings.Contains(err.Error(), name) {
		t.Errorf("another name is taken: %v", err)
	} else if _, ok := errors.AsType[*config.Error](err); !ok {
		t.Errorf("%T is no ConfigError", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "log.name"), []byte("a b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, err := logName(data, ""); err == nil {
		t.Errorf("a damaged file gives the name %q", name)
	}
}

func TestSocket(t *testing.T) {
	for _, deep := range []string{"d", strings.Repeat("deep/", 30) + "d"} {
		dir := filepath.Join(t.TempDir(), deep)
		if len(deep) > maxSocketPath && runtime.GOOS != "linux" {
			continue
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time over a stale one
			ln, err := listenSocket(dir)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, socketFile))
			if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
			server := &http.Server{Handler: http.NotFoundHandler()}
			go func() { _ = server.Serve(ln) }()
			c, ok := Dial(t.Context(), dir)
			if !ok {
				t.Fatal("nobody answers")
			}
			if _, err := c.Find(t.Context(), "", "x"); err == nil {
				t.Error("no answer came")
			}
			_ = c.Close()
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok := Dial(t.Context(), dir); ok {
			t.Error("somebody answers on a stale socket")
		}
	}
}

func TestAdminGuard(t *testing.T) {
	tests := []struct {
		name, token, method, host, auth, origin string
		want                                    int
	}{
		{"loopback", "", "GET", "127.0.0.1:9001", "", "", 200},
		{"localhost", "", "GET", "localhost:9001", "", "", 200},
		{"v6", "", "GET", "[::1]:9001", "", "", 200},
		{"no port", "", "GET", "localhost", "", "", 200},
		{"a name that points here", "", "GET", "evil.example:9001", "", "", 403},
		{"another page's post", "", "POST", "127.0.0.1:9001", "", "https://evil.example", 403},
		{"the command line's post", "", "POST", "127.0.0.1:9001", "", "", 200},
		{"token", "t", "GET", "any.example", "Bearer t", "", 200},
		{"token, other case", "t", "GET", "any.example", "bearer t", "", 200},
		{"no token", "t", "GET", "127.0.0.1", "", "", 401},
		{"wrong token", "t", "GET", "127.0.0.1", "Bearer tt", "", 401},
		{"wrong scheme", "t", "GET", "127.0.0.1", "Basic t", "", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &admin{token: tt.token}
			r := httptest.NewRequest(tt.method, "/api/x", nil)
			r.Host = tt.host
			if tt.auth != "" {
				r.Header.Set("Authorization", tt.auth)
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := httptest.NewRecorder()
			a.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("%d, want %d", w.Code, tt.want)
			}
		})
	}
}

func TestListenTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: birth.AddDate(50, 0, 0), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for name, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := config.Listener{Name: "s3", Path: "doors.s3", Addr: "127.0.0.1:0", TLS: files}
	ln, err := listen(at)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") })}
	go func() { _ = server.Serve(ln) }()
	defer func() { _ = server.Close() }()
	roots := x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(at.URL(ln.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	at.TLS.Cert = filepath.Join(dir, "nosuch.pem")
	if _, err := listen(at); err == nil || !strings.Contains(err.Error(), "doors.s3.tls") {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

// Every open of the rooms that fails lets go of what it had taken.
func TestOpenRoomsLetsGo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Load(config.Input{Flags: map[string]string{"data": filepath.Join(dir, "data"), "to": filepath.Join(file, "x"), "s3": "127.0.0.1:0", "admin": "off"}, Env: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a lock that was kept would be told the second time
		err := Serve(context.Background(), l, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "open the destination") {
			t.Fatalf("serve: %v", err)
		}
	}
}
