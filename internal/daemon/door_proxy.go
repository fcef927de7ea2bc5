package daemon

import (
	"context"
	"fmt"
	"time"

	"indelible/internal/config"
	"indelible/internal/ingest"
	"indelible/internal/ingest/proxy"
	"indelible/internal/recorder"
)

// proxyDoor makes the recording proxy, and makes records of what was under way when the last
// process died.
func (d *daemon) proxyDoor(m *ingest.Meter) (ingest.Door, bool, error) {
	c := d.config.Doors.Proxy
	o := proxy.Options{
		Recorder: recorder.Options{
			Log: d.recent, Recorded: d.engine.Recorded, Data: d.engine.Data(), Reserve: int64(d.config.Spool.ReserveBytes),
			Relaxed: c.Mode == "relaxed", PassFull: c.OnFull == "pass_and_record_gap",
			MaxRequest: int64(c.MaxBody), MaxKept: int64(c.MaxKept), MaxHold: time.Duration(c.MaxHold),
		},
		Tokens: tokensOf(c.Tokens), Meter: m, Log: d.log.With("component", "proxy"),
	}
	if c.OnLeave == "drain" {
		o.Recorder.Drain = time.Duration(c.DrainMax)
	}
	for _, u := range c.Upstreams.All() {
		o.Upstreams = append(o.Upstreams, proxy.Upstream{
			Name: u.Name, URL: string(u.URL), Provider: u.Provider, KeyFile: u.KeyFile, Header: u.Header,
			Sign: u.Sign, Region: u.Region, Service: u.Service, Profile: u.Profile,
		})
	}
	made, err := proxy.New(o)
	if err != nil {
		return nil, false, &config.Error{Where: "doors.proxy", Problem: err.Error()}
	}
	d.proxy = made.Recorder()
	return made, len(c.Tokens) == 0 && !c.Trust, nil
}

func proxyBanner(c *config.Config, url string) string {
	return fmt.Sprintf("%s/<upstream>/...  (%s; openai, anthropic, gemini, ...)", url, c.Doors.Proxy.Mode)
}

// recoverExchanges makes records of the answers that were under way when the last process died. What
// has no room now is tried again at the next start.
func (d *daemon) recoverExchanges(ctx context.Context) error {
	if d.proxy == nil {
		return nil
	}
	n, err := d.proxy.Recover(ctx)
	if err != nil {
		d.log.Error("answers that were under way when the last process ended are not recorded yet; the next start tries again", "error", err)
	}
	if n > 0 {
		d.log.Warn("answers were under way when the last process ended; records hold what had passed", "exchanges", n)
	}
	return nil
}
