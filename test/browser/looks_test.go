package browser

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// axe is the accessibility checker, from the package that requirements-axe.txt pins.
func axe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("python3", "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements-axe.txt", "-d", dir).CombinedOutput()
	if err != nil {
		if os.Getenv("INDELIBLE_REQUIRE_PEERS") == "1" {
			t.Fatalf("get axe-core: %v: %s", err, out)
		}
		t.Skipf("get axe-core: %v: %s", err, out)
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		t.Fatalf("%v, %v", wheels, err)
	}
	z, err := zip.OpenReader(wheels[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/axe.min.js") {
			r, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
	}
	t.Fatal("there is no axe.min.js in it")
	return ""
}

// accessible fails the test for everything that axe finds.
func (p *page) accessible(where, script string) {
	p.t.Helper()
	_ = js[bool](p, script+"; true")
	_ = js[bool](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((r) => { window.axeSaid = JSON.stringify(r.violations.map((v) => ({id: v.id, help: v.help, nodes: v.nodes.map((n) => n.html + " " + n.failureSummary)}))); }), true`)
	var said string
	await(p.t, "axe has looked", func() error {
		if said = js[string](p, "window.axeSaid ?? ''"); said == "" {
			return fmt.Errorf("it looks")
		}
		return nil
	})
	_ = js[bool](p, "delete window.axeSaid")
	var found []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(said), &found); err != nil {
		p.t.Fatal(err)
	}
	for _, f := range found {
		p.t.Errorf("%s: %s: %s\n%s", where, f.ID, f.Help, strings.Join(f.Nodes, "\n"))
	}
}

// Nothing that axe knows of keeps anybody out: board, record, sign-in and what was set
// parked, light and dark, wide and on a phone, where nothing is wider than the screen.
func TestAccessible(t *testing.T) {
	script := axe(t)
	b := newBucket(t)
	d := serve(t, build(t), b)
	d.calls(t, 1, 30)
	d.put(t, "2026-11-30/refused.json", "{}")
	for _, look := range []struct {
		name          string
		width, height int
		dark          bool
	}{{"light", 1280, 1000, false}, {"dark", 1280, 1000, true}, {"phone", 390, 844, false}} {
		t.Run(look.name, func(t *testing.T) {
			p := newPage(t, look.width, look.height, look.dark)
			p.open(d)
			p.shows("parked", "refused.json")
			p.shows("rows", "proven")
			if row := js[string](p, "[...document.querySelectorAll('#rows tr')].find((r) => r.innerText.includes('refused')).innerText"); !strings.Contains(row, "quarantined") {
				t.Errorf("a record that was parked is shown as %q", row)
			}
			if wide := js[int](p, "document.documentElement.scrollWidth"); wide > look.width {
				t.Errorf("the page is %d wide on a screen of %d", wide, look.width)
			}
			p.picture(look.name+"-parked", look.name == "phone")
			p.accessible("board", script)
			_ = js[string](p, "location.hash = '#/record/3'")
			p.shows("proof-result", "Verified")
			p.picture(look.name+"-record", false)
			p.accessible("record", script)
			_ = js[bool](p, "document.getElementById('detail').close(), document.getElementById('leave').click(), true")
			p.shows("login", "Open the dashboard")
			p.accessible("sign-in", script)
			p.picture(look.name+"-signin", false)
		})
	}
}

// Who may only read cannot bring records back; who may operate can.
func TestRedrive(t *testing.T) {
	b := newBucket(t)
	d := serve(t, build(t), b, "INDELIBLE_ADMIN_TOKEN=read-read-read-read", "INDELIBLE_ADMIN_OPERATOR_TOKEN=operate-operate-operate")
	d.put(t, "2026-11-30/refused.json", "{}")
	p := newPage(t, 1280, 1000, false)
	d.Token = "read-read-read-read"
	p.open(d)
	p.shows("parked", "refused.json")
	p.shows("parked", "EntityTooLarge")
	if !js[bool](p, "document.getElementById('redrive').disabled") {
		t.Error("who may read can redrive")
	}
	if got := js[int](p, "(() => { const r = new XMLHttpRequest(); r.open('POST', '/api/redrive', false); r.send(); return r.status; })()"); got != 401 {
		t.Errorf("redriving with a session that reads: status %d", got)
	}
	d.Token = "operate-operate-operate"
	p = newPage(t, 1280, 1000, false)
	p.open(d)
	p.shows("parked", "refused.json")
	_ = js[bool](p, "document.getElementById('redrive').click(), true")
	p.shows("parked-note", "1 record brought back into delivery")
}
