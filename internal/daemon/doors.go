package daemon

import (
	"context"
	"iter"
	"net/http"
	"time"

	"indelible/internal/control"
	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/ingest/proxy"
	"indelible/internal/ingest/s3api"
	"indelible/internal/ingest/sigv4"
	"indelible/internal/record"
)

// doors is the table of doors, by the name of their listener: a new one is one entry.
func doors() map[string]door {
	return map[string]door{
		"s3":    {(*daemon).s3Door, s3api.MaxHeader},
		"http":  {(*daemon).httpDoor, jsonapi.MaxHeader},
		"proxy": {(*daemon).proxyDoor, proxy.MaxHeader},
	}
}

type door struct {
	// open makes the door, and says whether it takes requests without credentials.
	open   func(d *daemon, m *ingest.Meter) (made ingest.Door, anybody bool, err error)
	header int // bytes of a request's head
}

// openDoor is a door of this daemon.
type openDoor struct {
	meter *ingest.Meter
	since time.Time
}

// doorServer makes the server of a listener that is a door's.
func (d *daemon) doorServer(name string) (s *ingest.Server, ok bool, err error) {
	kind, ok := doors()[name]
	if !ok {
		return nil, false, nil
	}
	meter := &ingest.Meter{Acked: func(_ record.Receipt, took time.Duration) { d.metrics.Acked(took) }}
	d.doors[name] = openDoor{meter, time.Now().UTC()}
	made, anybody, err := kind.open(d, meter)
	if err != nil {
		return nil, true, err
	}
	write := time.Duration(0)
	if name == "proxy" {
		write = -1 // a stream lasts as long as it lasts; the door bounds each write
	}
	return ingest.NewServer(made, ingest.ServerOptions{
		Write:  write,
		Guard:  &ingest.Guard{Open: anybody, Hosts: d.config.Doors.S3.Domains},
		Refuse: made.Refuse, Header: kind.header, Log: d.log,
	}), true, nil
}

func (d *daemon) s3Door(m *ingest.Meter) (ingest.Door, bool, error) {
	c := d.config.Doors.S3
	v := &sigv4.Verifier{Trust: c.Trust || len(c.Keys) == 0, Keys: map[string]string{}}
	for _, k := range c.Keys {
		v.Keys[k.ID] = k.Secret
	}
	made, err := s3api.New(s3api.Options{
		Spool: d.recent, Records: d.engine.Records(), Verifier: v, LogName: d.engine.Name(),
		Bucket: c.Bucket, Domains: c.Domains, MaxHold: c.MaxHold,
		Meter: m, Log: d.log.With("component", "s3api"),
	})
	return made, v.Trust, err
}

func (d *daemon) httpDoor(m *ingest.Meter) (ingest.Door, bool, error) {
	c := d.config.Doors.HTTP
	var tokens []ingest.Token
	for _, t := range c.Tokens {
		tokens = append(tokens, ingest.Token{Secret: t})
	}
	made, err := jsonapi.New(jsonapi.Options{
		Spool: d.recent, LogName: d.engine.Name(), Tokens: tokens, Bucket: c.Bucket,
		Keys:       jsonapi.Keys{Path: c.LiteLLM.Path, TeamPrefix: c.LiteLLM.TeamPrefix, KeyPrefix: c.LiteLLM.KeyPrefix, Hours: c.LiteLLM.Partition == "hour"},
		MaxRequest: c.MaxRequest, MaxHold: c.MaxHold,
		Meter: m, Log: d.log.With("component", "jsonapi"),
	})
	if err != nil {
		return nil, false, err
	}
	err = made.Remember(time.Now(), func(prefix string) iter.Seq2[record.Info, error] {
		return d.engine.Spool().Keys(context.Background(), c.Bucket, prefix, "")
	})
	return made, len(tokens) == 0, err
}

// status adds what the door has done to what is known of it.
func (o openDoor) status(s control.DoorStatus) control.DoorStatus {
	m := o.meter.Stats()
	s.Since, s.Requests, s.Bytes, s.RefusedBy = o.since, m.Requests, m.Bytes, m.Refused
	s.Acked, s.Resent = m.Acked-m.Resent, m.Resent
	for _, n := range m.Refused {
		s.Refused += n
	}
	s.Received = m.Acked + s.Refused
	if !m.Last.IsZero() {
		s.LastRecord = &m.Last
	}
	return s
}

// plainServer serves what is no door.
func (d *daemon) plainServer(h http.Handler) *ingest.Server {
	return ingest.NewServer(h, ingest.ServerOptions{Write: -1, Idle: 2 * time.Minute, Log: d.log})
}
