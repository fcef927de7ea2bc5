package browser

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// images is where the documentation's pictures are.
const images = "../../docs/images"

// TestPictures makes the pictures of the documentation again, from a minute of traffic with
// an outage in it, where INDELIBLE_PICTURES is set.
func TestPictures(t *testing.T) {
	if os.Getenv("INDELIBLE_PICTURES") == "" {
		t.Skip("INDELIBLE_PICTURES=1 makes the pictures in docs/images again")
	}
	b := newBucket(t)
	d := serve(t, build(t), b)
	ctx, stop := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	traffic.Go(func() { d.traffic(ctx) })
	light, dark := newPage(t, 1280, 860, false), newPage(t, 1280, 860, true)
	light.open(d)
	dark.open(d)
	pause := func(most time.Duration) { time.Sleep(most) } // the pictures show time going by
	pause(25 * time.Second)
	b.takeAway()
	pause(15 * time.Second)
	light.shows("sentence", "The destination takes nothing")
	light.pictureIn(images, "dashboard-outage", false)
	b.bringBack(t)
	pause(20 * time.Second)
	light.shows("sentence", "All is well")
	light.pictureIn(images, "dashboard-light", false)
	dark.pictureIn(images, "dashboard-dark", false)
	stop()
	traffic.Wait()
	light.do("look for a record", chromedp.Focus(chromedp.ID("query")), chromedp.KeyEvent("1000"+kb.Enter))
	light.shows("proof-result", "Verified")
	light.do("pin the key", chromedp.Focus(chromedp.CSS(".pin input")), chromedp.KeyEvent(d.vkey(t)+kb.Enter))
	light.shows("proof", "The key is the one that you pinned")
	light.do("make room", chromedp.EmulateViewport(1280, 1300))
	light.pictureIn(images, "dashboard-proof", false)
}

// traffic sends records until ctx ends.
func (d *daemon) traffic(ctx context.Context) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for i := 1; ; i++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			key := now.UTC().Format("2006-01-02/time-15-04-05-") + fmt.Sprintf("%06d_chatcmpl-%06d.json", now.Nanosecond()/1000, i)
			req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+d.S3+"/audit/"+key, strings.NewReader(call(i)))
			if err != nil {
				return
			}
			req.Header.Set("Content-Type", "application/json")
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
	}
}
