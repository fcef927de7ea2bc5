package daemon

import (
	"fmt"
	"time"

	"indelible/internal/config"
	"indelible/internal/ingest"
	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
)

func (d *daemon) s3Door(m *ingest.Meter) (ingest.Door, bool, error) {
	c := d.config.Doors.S3
	v := &sigv4.Verifier{Trust: c.Trust || len(c.Keys) == 0, Keys: map[string]string{}}
	senders := map[string]ingest.Sender{}
	for _, k := range c.Keys {
		v.Keys[k.ID] = k.Secret.Reveal()
		senders[k.ID] = ingest.Sender{Name: k.Name, Team: k.Team}
	}
	made, err := s3api.New(s3api.Options{
		Spool: d.recent, Records: d.engine.Records(), Verifier: v, Senders: senders, LogName: d.engine.Name(),
		Bucket: c.Bucket, Domains: c.Domains, MaxHold: time.Duration(c.MaxHold),
		Meter: m, Log: d.log.With("component", "s3api"),
	})
	return made, v.Trust, err
}

func s3Banner(c *config.Config, url string) string {
	return fmt.Sprintf("%s  (%s)", url, signatures(c.Doors.S3))
}

func signatures(s config.S3Door) string {
	switch {
	case s.Trust:
		return "signatures not checked: doors.s3.trust"
	case len(s.Keys) == 0:
		return "signatures not checked: loopback only"
	case len(s.Keys) == 1:
		return "1 access key"
	}
	return fmt.Sprintf("%d access keys", len(s.Keys))
}
