package daemon

import (
	"context"
	"fmt"
	"iter"
	"time"

	"indelible/internal/config"
	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/record"
)

func (d *daemon) httpDoor(m *ingest.Meter) (ingest.Door, bool, error) {
	c := d.config.Doors.HTTP
	bodies := ingest.NewBodies(int64(c.MaxRequest), 4*int64(c.MaxRequest))
	made, err := jsonapi.New(jsonapi.Options{
		Spool: d.recent, LogName: d.engine.Name(), Tokens: tokensOf(c.Tokens), Bucket: c.Bucket, Bodies: bodies,
		Keys:    jsonapi.Keys{Path: c.LiteLLM.Path, TeamPrefix: c.LiteLLM.TeamPrefix, KeyPrefix: c.LiteLLM.KeyPrefix, Hours: c.LiteLLM.Partition == "hour"},
		MaxHold: time.Duration(c.MaxHold),
		Meter:   m, Log: d.log.With("component", "jsonapi"),
	})
	if err != nil {
		return nil, false, err
	}
	err = made.Remember(time.Now(), func(prefix string) iter.Seq2[record.Info, error] {
		return d.engine.Spool().Keys(context.Background(), c.Bucket, prefix, "")
	})
	if err != nil {
		return nil, false, err
	}
	spans, err := d.otlpDoor(bodies)
	return &httpDoors{json: made, otlp: spans}, len(c.Tokens) == 0, err
}

func httpBanner(c *config.Config, url string) string {
	return fmt.Sprintf("%s  (POST /v1/records; OTLP at /v1/traces and /v1/logs; %s)", url, tokens(c.Doors.HTTP))
}

func tokens(h config.HTTPDoor) string {
	switch len(h.Tokens) {
	case 0:
		return "no token: loopback only"
	case 1:
		return "1 token"
	}
	return fmt.Sprintf("%d tokens", len(h.Tokens))
}
