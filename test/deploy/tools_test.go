package deploy

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// What the checks need beside Go modules. It is fetched once and kept.
const (
	// The schemas of Kubernetes' own API, which kubeconform reads from the network by default.
	schemasPin    = "kubernetes-validate==1.37.0"
	schemasFile   = "kubernetes_validate-1.37.0-py3-none-any.whl"
	schemasSHA256 = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
)

// kept is where fetched tools lie.
func kept(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "indelible-test", "deploy")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// unavailable skips a test whose tool cannot be had, unless it must be.
func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("INDELIBLE_REQUIRE_PEERS") != "" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v", what, err)
}

// kubernetesSchemas unpacks the schemas of a version, those kinds that the chart uses.
func kubernetesSchemas(t *testing.T, version string) string {
	t.Helper()
	wheel := filepath.Join(kept(t), schemasFile)
	if _, err := os.Stat(wheel); err != nil {
		if out, err := exec.Command("python3", "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", kept(t), schemasPin).CombinedOutput(); err != nil {
			unavailable(t, "schemas of Kubernetes", fmt.Errorf("%w: %s", err, out))
		}
	}
	b, err := os.ReadFile(wheel)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != schemasSHA256 {
		t.Fatalf("%s has SHA-256 %s: remove it", wheel, got)
	}
	z, err := zip.OpenReader(wheel)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	dir := t.TempDir()
	for _, name := range []string{
		"_definitions", "configmap-v1", "networkpolicy-networking-v1", "poddisruptionbudget-policy-v1",
		"secret-v1", "service-v1", "serviceaccount-v1", "statefulset-apps-v1",
	} {
		f, err := z.Open("kubernetes_validate/kubernetes-json-schema/v" + version + "-local-strict/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		// The package resolves references against a root of its own; here they are files.
		text := strings.ReplaceAll(string(b), `"/api/_definitions.json`, `"_definitions.json`)
		var schema map[string]any
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			t.Fatal(err)
		}
		delete(schema, "$id")
		if b, err = json.Marshal(schema); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// promtool is Prometheus' own checker, from the Debian package, of which nothing is installed.
func promtool(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("promtool"); err == nil {
		return path
	}
	dir := kept(t)
	path := filepath.Join(dir, "usr", "bin", "promtool")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := exec.Command("sh", "-c", "apt-get download -qq prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		unavailable(t, "promtool", fmt.Errorf("%w: %s", err, out))
	}
	return path
}

var scratch string // set by TestMain

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "indelible-deploy-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

var build = sync.OnceValues(func() (string, error) {
	exe := filepath.Join(scratch, "indelible")
	out, err := exec.Command("go", "build", "-C", "../..", "-o", exe, "./cmd/indelible").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return exe, nil
})

// indelible is the program, built once for all tests.
func indelible(t *testing.T) string {
	t.Helper()
	exe, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// command is a command line; words like NAME=value are its environment, beside the least.
func command(t *testing.T, words ...string) *exec.Cmd {
	t.Helper()
	var args []string
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir()}
	for _, w := range words {
		if name, _, ok := strings.Cut(w, "="); ok && name == strings.ToUpper(name) {
			env = append(env, w)
			continue
		}
		args = append(args, w)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	return cmd
}
