package config

import (
	"net"
	"slices"
)

// Listener is one address that the daemon can listen on.
type Listener struct {
	Name string // s3, http, proxy or admin: the name of its flag
	Path string // where its settings are in the file, such as doors.s3
	Addr string // host:port, or Off
	TLS  TLS

	Credentials bool     // senders need some
	KeyIDs      []string // of the access keys, without their secrets
	Bucket      string   // where a record is put that names none
	Senders     []Sender // those that have a name, each once
}

// Listeners are all that can be configured.
func (c *Config) Listeners() []Listener {
	s3, http, proxy := &c.Doors.S3, &c.Doors.HTTP, &c.Doors.Proxy
	var ids []string
	var signers []Sender
	for _, k := range s3.Keys {
		ids, signers = append(ids, k.ID), append(signers, k.Sender)
	}
	return []Listener{
		{Name: "s3", Path: "doors.s3", Addr: string(s3.Listen), TLS: s3.TLS, Credentials: len(ids) > 0, KeyIDs: ids, Bucket: s3.Bucket, Senders: named(signers)},
		{Name: "http", Path: "doors.http", Addr: string(http.Listen), TLS: http.TLS, Credentials: len(http.Tokens) > 0, Bucket: http.Bucket, Senders: named(senders(http.Tokens))},
		{Name: "proxy", Path: "doors.proxy", Addr: string(proxy.Listen), TLS: proxy.TLS, Credentials: len(proxy.Tokens) > 0, Senders: named(senders(proxy.Tokens))},
		{Name: "admin", Path: "admin", Addr: string(c.Admin.Listen), TLS: c.Admin.TLS, Credentials: c.Admin.Token.IsSet()},
	}
}

func senders(tokens []Token) []Sender {
	var list []Sender
	for _, t := range tokens {
		list = append(list, t.Sender)
	}
	return list
}

// named are the senders that have a name, each once: a sender may have several credentials.
func named(all []Sender) []Sender {
	var list []Sender
	for _, s := range all {
		if s.Name != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// Open are the listeners that serve opens.
func (c *Config) Open() []Listener {
	var open []Listener
	for _, l := range c.Listeners() {
		if l.Addr != Off {
			open = append(open, l)
		}
	}
	return open
}

// URL is where clients reach the listener that is bound to addr.
func (l Listener) URL(addr string) string {
	scheme := "http"
	if l.TLS.Cert != "" {
		scheme = "https"
	}
	return scheme + "://" + Reachable(addr)
}

// Reachable is an address that this machine can connect to, for one that may
// mean all of its own ("0.0.0.0:9000").
func Reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}
