package daemon

import (
	"net/http"
	"time"

	"indelible/internal/config"
	"indelible/internal/control"
	"indelible/internal/ingest"
	"indelible/internal/ingest/jsonapi"
	"indelible/internal/ingest/proxy"
	"indelible/internal/ingest/s3api"
	"indelible/internal/local"
	"indelible/internal/record"
)

// door is how one kind of door is opened, and what the banner says of it.
type door struct {
	name string // of its listener and flag
	// open makes the door, and says whether it takes requests without credentials.
	open   func(d *daemon, m *ingest.Meter) (made ingest.Door, anybody bool, err error)
	header int           // bytes of a request's head at most
	write  time.Duration // ingest.ServerOptions.Write
	title  string        // in the banner
	says   func(c *config.Config, url string) string
}

// doors is the table of doors: a new one is one entry, and a listener in package config.
func doors() []door {
	return []door{
		{name: "s3", open: (*daemon).s3Door, header: s3api.MaxHeader, title: "S3 door", says: s3Banner},
		{name: "http", open: (*daemon).httpDoor, header: jsonapi.MaxHeader, title: "HTTP door", says: httpBanner},
		// A stream lasts as long as it lasts; the door bounds each write.
		{name: "proxy", open: (*daemon).proxyDoor, header: proxy.MaxHeader, write: -1, title: "proxy", says: proxyBanner},
	}
}

// doorNamed is the kind of door behind a listener; nil: the listener is no door's.
func doorNamed(name string) *door {
	for _, kind := range doors() {
		if kind.name == name {
			return &kind
		}
	}
	return nil
}

// server makes the server of a door, and the meter that counts what it does.
func (kind *door) server(d *daemon, at config.Listener) (*ingest.Server, *ingest.Meter, error) {
	for _, s := range at.Senders {
		d.recent.Expect(kind.name, sourceOf(s))
		if kind.name == "http" {
			d.recent.Expect("otlp", sourceOf(s)) // behind the same listener
		}
	}
	meter := d.newMeter()
	made, anybody, err := kind.open(d, meter)
	if err != nil {
		return nil, nil, err
	}
	return ingest.NewServer(made, ingest.ServerOptions{
		Write:  kind.write,
		Guard:  &ingest.Guard{Open: anybody, Hosts: d.config.Doors.S3.Domains},
		Refuse: made.Refuse, Header: kind.header, Log: d.log,
	}), meter, nil
}

func (d *daemon) newMeter() *ingest.Meter {
	return &ingest.Meter{Acked: func(_ record.Receipt, took time.Duration) { d.metrics.Acked(took) }}
}

// plainServer serves what is no door.
func (d *daemon) plainServer(h http.Handler) *ingest.Server {
	return ingest.NewServer(h, ingest.ServerOptions{Write: -1, Idle: 2 * time.Minute, Log: d.log})
}

// doorStatus is how a door's server is and what one of the doors behind it has done.
func (d *daemon) doorStatus(s *server, door string, meter *ingest.Meter) control.DoorStatus {
	st := local.DoorOf(s.at, s.addr())
	m := meter.Stats()
	st.Since, st.Requests, st.Bytes, st.RefusedBy = s.since, m.Requests, m.Bytes, m.Refused
	st.Acked, st.Resent, st.Dropped = m.Acked-m.Resent, m.Resent, m.Dropped
	for _, n := range m.Refused {
		st.Refused += n
	}
	st.Received = m.Acked + st.Refused
	if !m.Last.IsZero() {
		st.LastRecord = &m.Last
	}
	for _, from := range s.at.Senders {
		counted := d.recent.Sender(door, sourceOf(from))
		sender := control.SenderStatus{Name: from.Name, Team: from.Team, Source: counted.Source, Records: counted.Records}
		if counted.Records > 0 {
			sender.LastRecord = &counted.Last
		}
		st.Senders = append(st.Senders, sender)
	}
	return st
}

// sourceOf is how records name a sender.
func sourceOf(s config.Sender) string { return ingest.Sender{Name: s.Name, Team: s.Team}.Source() }

// tokensOf are configured tokens as a door takes them.
func tokensOf(list []config.Token) []ingest.Token {
	var tokens []ingest.Token
	for _, t := range list {
		tokens = append(tokens, ingest.Token{Secret: t.Secret.Reveal(), Name: t.Name, Team: t.Team})
	}
	return tokens
}
