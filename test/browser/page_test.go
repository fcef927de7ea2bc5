package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// page is a browser's page. Everything that the browser complains of fails the test.
type page struct {
	t   *testing.T
	ctx context.Context

	mu   sync.Mutex
	urls []string // that were asked for; guarded by mu
}

// chromium finds the browser; without one the tests are skipped, or fail under RequirePeers.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("INDELIBLE_REQUIRE_PEERS") == "1" {
		t.Fatal("there is no chromium: install the Debian package of that name")
	}
	t.Skip("there is no chromium: install the Debian package of that name")
	return ""
}

// newPage opens a page of a size, in a browser of its own.
func newPage(t *testing.T, width, height int, dark bool) *page {
	t.Helper()
	o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.WindowSize(width, height), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), o...)
	t.Cleanup(cancel)
	p := &page{t: t}
	p.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(p.listen))
	t.Cleanup(cancel)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	p.do("open a page", send(network.Enable, network.EnableParams{}), send(cdplog.Enable, cdp.Empty{}),
		send(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
		chromedp.EmulateViewport(int64(width), int64(height)))
	return p
}

// send is a command of the browser's protocol as an action.
func send[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, command, params)
		return err
	})
}

func (p *page) listen(ev any) {
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		p.t.Errorf("the page fails: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *cdplog.EventEntryAdded:
		if e.Entry.Source == cdplog.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") || strings.Contains(e.Entry.Text, "Content-Security-Policy") {
			p.t.Errorf("the browser complains: %s", e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.urls = append(p.urls, e.Request.URL)
	}
}

func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// js is the value of an expression in the page.
func js[T any](p *page, expression string) T {
	p.t.Helper()
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// text is what an element shows. It fails while the page is being loaded again.
func (p *page) text(id string) (string, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf("((e) => e?.checkVisibility() ? e.innerText : '')(document.getElementById(%q))", id)))
}

// shows waits until an element shows a text.
func (p *page) shows(id, want string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%s shows %q", id, want), func() error {
		got, err := p.text(id)
		if err != nil {
			return err
		}
		if !strings.Contains(got, want) {
			page, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body?.innerText ?? ''"))
			return fmt.Errorf("it shows %q, and the page %.2000q (%v)", got, page, err) // it may be loaded again meanwhile
		}
		return nil
	})
}

// open goes to an address and waits until the page has drawn what the daemon said.
func (p *page) open(d *daemon) {
	p.t.Helper()
	p.do("open the dashboard", chromedp.Navigate("http://"+d.Admin+"/#"+d.Token))
	p.shows("numbers", "acknowledged")
}

// picture keeps a picture of what the window shows, or of the whole page, with the test's artifacts.
func (p *page) picture(name string, whole bool) { p.pictureIn(p.t.ArtifactDir(), name, whole) }

func (p *page) pictureIn(dir, name string, whole bool) {
	p.t.Helper()
	shot := chromedp.CaptureScreenshot()
	if whole {
		shot = chromedp.FullScreenshot(100)
	}
	b, err := chromedp.Run(p.ctx, shot)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644)); err != nil {
		p.t.Fatal(err)
	}
}

// asked are the addresses that the page asked for.
func (p *page) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.urls...)
}
