package config

import "net"

// Listener is one address that the daemon can listen on.
type Listener struct {
	Name string // s3, http, proxy or admin: the name of its flag
	Path string // where its settings are in the file, such as doors.s3
	Addr string // host:port, or Off
	TLS  TLS
}

// Listeners are all that can be configured.
func (c *Config) Listeners() []Listener {
	return []Listener{
		{"s3", "doors.s3", c.Doors.S3.Listen, c.Doors.S3.TLS},
		{"http", "doors.http", c.Doors.HTTP.Listen, c.Doors.HTTP.TLS},
		{"proxy", "doors.proxy", c.Doors.Proxy.Listen, c.Doors.Proxy.TLS},
		{"admin", "admin", c.Admin.Listen, c.Admin.TLS},
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
