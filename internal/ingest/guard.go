package ingest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Guard refuses requests that a web page can make a browser send. Every
// request that changes something must come from no browser or from the same
// origin. Where no credentials are checked, the Host must be one that no
// stranger can point at this machine, or a page could read what is here
// through a name of its own (DNS rebinding). It is safe for concurrent use.
type Guard struct {
	// Open says that the listener checks no credentials.
	Open bool
	// Hosts are the names and addresses that clients may use for an open
	// listener besides loopback ones; each stands for its subdomains, too.
	Hosts []string

	origin http.CrossOriginProtection
}

// Check returns the refusal of a request, or nil.
func (g *Guard) Check(r *http.Request) *Refusal {
	if err := g.origin.Check(r); err != nil {
		return &Refusal{Status: http.StatusForbidden, Cause: err,
			Message: "The request comes from a page of another origin in a browser: no record is taken from there."}
	}
	if g.Open && !g.trusted(r) {
		return &Refusal{Status: http.StatusForbidden, Cause: fmt.Errorf("the host %.200q is not one of this listener's", r.Host),
			Message: fmt.Sprintf("Without credentials, requests for the host %.200q are not answered, because any web page could send them. "+
				"Use 127.0.0.1 or localhost, add the name to doors.s3.domains, or configure credentials (doors.s3.keys, doors.http.tokens, doors.proxy.tokens, admin.token).", r.Host)}
	}
	return nil
}

// Handler is next behind the guard. Refusals are answered as text.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e := g.Check(r); e != nil {
			writePlain(w, r, e)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// trusted reports whether the request's Host cannot be a name that belongs to somebody else.
func (g *Guard) trusted(r *http.Request) bool {
	if r.Host == "" { // HTTP/1.0: no browser
		return true
	}
	host := hostName(r.Host)
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap().WithZone("")
		return addr.IsLoopback() || addr == localAddr(r) || g.listed(addr.String())
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || g.listed(host)
}

// localAddr is the address of this machine that the request came in at: a page
// that was loaded from it is one of ours.
func localAddr(r *http.Request) netip.Addr {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(local.IP)
	return addr.Unmap()
}

func (g *Guard) listed(host string) bool {
	for _, name := range g.Hosts {
		name = strings.ToLower(strings.Trim(name, "."))
		if host == name || strings.HasSuffix(host, "."+name) {
			return true
		}
	}
	return false
}

// hostName is a Host header without its port and brackets, in lower case.
func hostName(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 &&
		(strings.HasPrefix(host, "[") || strings.IndexByte(host, ':') == i) {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
