package browser

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The board tells the truth before, during and after an outage, without being loaded again.
func TestOutage(t *testing.T) {
	b := newBucket(t)
	d := serve(t, build(t), b)
	d.calls(t, 1, 40)
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	t.Logf("first contentful paint after %.0f ms", js[float64](p, "performance.getEntriesByName('first-contentful-paint')[0].startTime"))
	p.shows("sentence", "All is well: every record is stored and proven.")
	p.shows("numbers", "40 records acknowledged, none lost, none on its way")
	p.shows("t-dest", "ok")
	p.shows("rows", "chatcmpl-0040")
	p.shows("senders", "127.0.0.1")
	if at := js[string](p, "location.href"); strings.Contains(at, d.Token) {
		t.Errorf("the token stays in the address: %s", at)
	}
	if cookie := js[string](p, "document.cookie"); cookie != "" {
		t.Errorf("scripts can read the session: %q", cookie)
	}

	b.takeAway()
	d.calls(t, 41, 25)
	p.shows("sentence", "The destination takes nothing (unreachable):")
	p.shows("numbers", "65 records acknowledged, none lost, 25 on their way")
	p.shows("remedy", "check network and endpoint")
	p.shows("t-dest-more", "refuses the connection")
	p.shows("rows", "on its way")
	p.picture("outage", false)

	b.bringBack(t)
	p.shows("sentence", "All is well: every record is stored and proven.")
	p.shows("numbers", "65 records acknowledged, none lost, none on its way")
	d.calls(t, 66, 35)
	p.shows("numbers", "100 records acknowledged, none lost, none on its way")
	p.picture("light", false)

	for _, at := range p.asked() {
		if u, err := url.Parse(at); err != nil || u.Host != d.Admin && u.Scheme != "blob" {
			t.Errorf("the page asked for %s: want nothing from anywhere else", at)
		}
	}
}

// What the find box is asked is looked for by name, by prefix or as an expression; what is found says what it is.
func TestSearch(t *testing.T) {
	d := serve(t, build(t), newBucket(t))
	d.calls(t, 1, 30)
	d.put(t, "2026-11-30/other.json", `{"id":"chatcmpl-other","model":"claude-sonnet-5","metadata":{"user_api_key_team_alias":"billing <b>"},"status":"failure"}`)
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	p.shows("sentence", "every record is stored and proven")
	find := func(what string) {
		t.Helper()
		_ = js[bool](p, fmt.Sprintf("document.getElementById('query').value = %q, true", what))
		p.do("look for "+what, chromedp.Focus(chromedp.ID("query")), chromedp.KeyEvent(kb.Enter))
	}
	for _, c := range []struct{ what, note, row string }{
		{"model=gpt-5-mini", "30 records found", "chatcmpl-0030"},
		{`model~claude status=failure`, "1 record found", "billing <b> · failure"},
		{`team="billing <b>"`, "1 record found", "other.json"},
		{"2026-11-30/time*", "30 with this prefix", "chatcmpl-0029"},
		{"nowhere-at-all", `Nothing is called "nowhere-at-all" or matches it`, ""},
		{"colour=red", `colour`, ""}, // no field: told, and the page goes on
		{"model=gpt-5-mini id=chatcmpl-0007", "1 record found", "chatcmpl-0007"},
	} {
		find(c.what)
		p.shows("find-note", c.note)
		if c.row != "" {
			p.shows("rows", c.row)
		}
	}
	find("chatcmpl-other")
	p.shows("detail-title", "other.json")
}

// Everything can be reached and done from the keyboard.
func TestKeyboard(t *testing.T) {
	d := serve(t, build(t), newBucket(t))
	d.calls(t, 1, 5)
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	p.shows("sentence", "every record is stored and proven")
	p.do("press /", chromedp.KeyEvent("/"))
	if at := js[string](p, "document.activeElement.id"); at != "query" {
		t.Fatalf("/ leads to %q", at)
	}
	p.do("look for an id", chromedp.KeyEvent("chatcmpl-0003"+kb.Enter))
	p.shows("proof-result", "Verified")
	p.shows("content", `<img src=x onerror=alert(1)>`) // as text
	p.do("close it", chromedp.KeyEvent(kb.Escape))
	await(t, "it is closed", func() error {
		if js[bool](p, "document.getElementById('detail').open") {
			return fmt.Errorf("it is open")
		}
		return nil
	})
	// From the top, tabs lead to a record, and Enter opens it.
	_ = js[bool](p, "document.activeElement.blur(), scrollTo(0, 0), true")
	for n := 0; js[string](p, "document.activeElement.closest('td.key') ? 'row' : document.activeElement.className || document.activeElement.id") != "row"; n++ {
		if n > 40 {
			t.Fatal("no tab leads to a record")
		}
		p.do("press tab", chromedp.KeyEvent(kb.Tab))
	}
	p.do("open it", chromedp.KeyEvent(kb.Enter))
	p.shows("proof-result", "Verified")
}

// A board outlives its daemon: killed and started again, it is shown again without another
// sign-in, and meanwhile the page says that it is old.
func TestRestart(t *testing.T) {
	d := serve(t, build(t), newBucket(t))
	d.calls(t, 1, 5)
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	p.shows("numbers", "5 records acknowledged, none lost, none on its way")
	d.kill()
	p.shows("link", "no word from the daemon for")
	d.start(t, d.Admin)
	p.shows("link", "live")
	d.calls(t, 6, 5)
	p.shows("numbers", "10 records acknowledged, none lost, none on its way")
}

// What the disk lost is named with its cause and what to do, until a start that comes after its release: then it is
// counted, with where it is named. `verify` does name it.
func TestGaps(t *testing.T) {
	b := newBucket(t)
	d := serve(t, build(t), b)
	d.calls(t, 1, 5)
	await(t, "they are proven", func() error {
		if n := d.status(t).Proven; n != 5 {
			return fmt.Errorf("%d proven", n)
		}
		return nil
	})
	b.takeAway()
	d.calls(t, 6, 20)
	d.kill()
	segments, err := filepath.Glob(filepath.Join(d.data, "spool", "*.seg"))
	if err != nil || len(segments) == 0 {
		t.Fatalf("%q, %v", segments, err)
	}
	flipped := 0
	for _, name := range segments {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []int{8, 9, 20} {
			if at := bytes.Index(raw, []byte(call(id))); at >= 0 {
				raw[at+20] ^= 1
				flipped++
			}
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if flipped != 3 {
		t.Fatalf("%d of 3 records are in the spool", flipped)
	}
	d.start(t, "127.0.0.1:0")
	b.bringBack(t)
	for _, look := range []struct {
		name          string
		width, height int
	}{{"wide", 1280, 1000}, {"phone", 390, 844}} {
		p := newPage(t, look.width, look.height, look.name == "wide")
		p.open(d)
		p.shows("sentence", "The disk has lost acknowledged records:")
		p.shows("numbers", "3 gaps in the log")
		p.shows("lost-rows", "8\t1\t")
		p.shows("lost-rows", "9\t1\t")
		p.shows("lost-rows", "20\t1\t")
		p.shows("lost-note", "What to do: replace the disk")
		if wide := js[int](p, "document.documentElement.scrollWidth"); wide > look.width {
			t.Errorf("the page is %d wide on a screen of %d", wide, look.width)
		}
		p.picture("gaps-"+look.name, look.name == "phone")
		p.accessible("board with gaps", axe(t))
	}
	await(t, "the rest is proven", func() error {
		if n := d.status(t).Proven; n != 22 {
			return fmt.Errorf("%d proven", n)
		}
		return nil
	})
	d.kill()
	d.start(t, "127.0.0.1:0")
	p := newPage(t, 1280, 1000, false)
	p.open(d)
	p.shows("lost-more", `3 gaps released before this start, or older: "indelible verify" names them.`)
	cmd := exec.Command(d.binary, "verify", "--allow-incomplete")
	cmd.Env = d.env
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{"record 8 is lost, as the log says", "record 9 is lost, as the log says", "record 20 is lost, as the log says"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("verify lacks %q:\n%s", want, out)
		}
	}
}
