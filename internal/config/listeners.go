package config

import "net"

// Listener is one address that the daemon can listen on.
type Listener struct {
	Name string // s3, http, proxy or admin: the name of its flag
	Path string // where its settings are in the file, such as doors.s3
	Addr string // host:port, or Off
	TLS  TLS

	Credentials bool     // senders need some
	KeyIDs      []string // of the access keys, without their secrets
	Bucket      string   // where a record is put that names none
}

// Listeners are all that can be configured.
func (c *Config) Listeners() []Listener {
	s3, http, proxy := &c.Doors.S3, &c.Doors.HTTP, &c.Doors.Proxy
	var ids []string
	for _, k := range s3.Keys {
		ids = append(ids, k.ID)
	}
	return []Listener{
		{Name: "s3", Path: "doors.s3", Addr: s3.Listen, TLS: s3.TLS, Credentials: len(ids) > 0, KeyIDs: ids, Bucket: s3.Bucket},
		{Name: "http", Path: "doors.http", Addr: http.Listen, TLS: http.TLS, Credentials: len(http.Tokens) > 0, Bucket: http.Bucket},
		{Name: "proxy", Path: "doors.proxy", Addr: proxy.Listen, TLS: proxy.TLS, Credentials: len(proxy.Tokens) > 0},
		{Name: "admin", Path: "admin", Addr: c.Admin.Listen, TLS: c.Admin.TLS, Credentials: c.Admin.Token != ""},
	}
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
