package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"indelible/internal/layout"
	"indelible/internal/proof"
	"indelible/internal/record"
)

// validate checks what no single setting can know. Its error joins a
// *Error for each mistake.
func (l *Loaded) validate() error {
	c := &l.Config
	errs := []error{l.doors(), l.sameAddress(), l.destination(), l.upload(), l.witnesses(), l.key()}
	for _, d := range c.Listeners() {
		if (d.TLS.Cert == "") != (d.TLS.Key == "") {
			errs = append(errs, l.wrong(d.Path+".tls.cert", "%s.tls needs both cert and key", d.Path))
		}
	}
	return errors.Join(errs...)
}

// wrong is a mistake at the place where path was set.
func (l *Loaded) wrong(path, format string, args ...any) error {
	return &Error{Where: l.Sources[path].Name, Problem: fmt.Sprintf(format, args...)}
}

// witnesses refuses a witness that could cosign nothing.
func (l *Loaded) witnesses() error {
	for _, text := range l.Config.Proof.Witnesses {
		if _, err := proof.ParseWitness(text); err != nil {
			return l.wrong("proof.witnesses", "proof.witnesses: %v", err)
		}
	}
	return nil
}

// doors refuses what strangers could reach without credentials.
func (l *Loaded) doors() error {
	c := &l.Config
	open := func(addr Address) bool { return addr != Off && !IsLoopback(string(addr)) }
	var errs []error
	refuse := func(path string, addr Address, cure string) {
		errs = append(errs, l.wrong(path, "%s %s can be reached from beyond this machine, and anybody could use it: %s", path, addr, cure))
	}
	if s := c.Doors.S3; open(s.Listen) && len(s.Keys) == 0 && !s.Trust {
		refuse("doors.s3.listen", s.Listen, "set INDELIBLE_S3_KEYS=id:secret (or doors.s3.keys), listen on 127.0.0.1, or say doors.s3.trust: true where the network itself is trusted")
	}
	if s := c.Doors.S3; s.Trust && len(s.Keys) > 0 {
		errs = append(errs, l.wrong("doors.s3.trust", "doors.s3.trust: true and doors.s3.keys contradict each other: with trust, no signature is checked; remove one of them"))
	}
	if h := c.Doors.HTTP; open(h.Listen) && len(h.Tokens) == 0 {
		refuse("doors.http.listen", h.Listen, "set INDELIBLE_HTTP_TOKENS=token (or doors.http.tokens), or listen on 127.0.0.1")
	}
	if n := c.Doors.HTTP.MaxRequest; n > record.MaxBody {
		errs = append(errs, l.wrong("doors.http.max_request", "doors.http.max_request %s is more than a record can hold: want at most %s", n, Size(record.MaxBody)))
	}
	if p := c.Doors.Proxy; open(p.Listen) && len(p.Tokens) == 0 && !p.Trust {
		refuse("doors.proxy.listen", p.Listen, "set INDELIBLE_PROXY_TOKENS=token (or doors.proxy.tokens), listen on 127.0.0.1, or say doors.proxy.trust: true where the network itself is trusted")
	}
	if p := c.Doors.Proxy; p.Trust && len(p.Tokens) > 0 {
		errs = append(errs, l.wrong("doors.proxy.trust", "doors.proxy.trust: true and doors.proxy.tokens contradict each other: with trust, no token is asked for; remove one of them"))
	}
	for path, n := range map[string]Size{"doors.proxy.max_request": c.Doors.Proxy.MaxBody, "doors.proxy.max_kept": c.Doors.Proxy.MaxKept} {
		if n > record.MaxBody/2 {
			errs = append(errs, l.wrong(path, "%s %s is more than a record can hold: want at most %s", path, n, Size(record.MaxBody/2)))
		}
	}
	if a := c.Admin; open(a.Listen) && !a.Token.IsSet() {
		refuse("admin.listen", a.Listen, "set INDELIBLE_ADMIN_TOKEN (or admin.token), or listen on 127.0.0.1")
	}
	return errors.Join(errs...)
}

// sameAddress finds two doors on one address.
func (l *Loaded) sameAddress() error {
	c := &l.Config
	taken := map[string]string{}
	for _, d := range c.Listeners() {
		if _, port, err := net.SplitHostPort(d.Addr); err != nil || port == "0" {
			continue
		}
		if other, ok := taken[d.Addr]; ok {
			return l.wrong(d.Path+".listen", "%s.listen and %s.listen are both %s: give one of them another port", other, d.Path, d.Addr)
		}
		taken[d.Addr] = d.Path
	}
	return nil
}

func (l *Loaded) destination() error {
	c := &l.Config
	d := &c.Destination
	loc, err := ParseLocation(string(d.URL))
	if err != nil {
		return l.wrong("destination.url", "%v", err)
	}
	errs := []error{l.apart(loc)}
	if _, err := layout.Parse(loc.Prefix); err != nil {
		errs = append(errs, l.wrong("destination.url", "destination.url %s: %v", d.URL, err))
	}
	if read, err := ParseLocation(l.location); err == nil && read.Bucket != "" {
		return errors.Join(errs...)
	}
	if loc.Bucket == "" {
		for _, f := range fieldsOf(c) {
			if s := l.Sources[f.Path]; f.tag.Get("only") == "s3" && (s.Kind == "yaml" || s.Kind == "flag") {
				errs = append(errs, l.wrong(f.Path, "%s is for s3:// destinations, and this one is %s", f.Path, d.URL))
			}
		}
		return errors.Join(errs...)
	}
	if d.KMSKeyID != "" && !strings.HasPrefix(d.SSE, "aws:kms") {
		errs = append(errs, l.wrong("destination.kms_key_id", "destination.kms_key_id needs destination.sse: aws:kms"))
	}
	if lock := d.ObjectLock; (lock.Mode == "") != (lock.Retain == 0) {
		errs = append(errs, l.wrong("destination.object_lock.mode", "destination.object_lock needs both mode and retain, such as {mode: governance, retain: 180d}"))
	}
	if lock := d.ObjectLock; d.Retain > 0 && lock.Retain > d.Retain {
		errs = append(errs, l.wrong("destination.retain", "destination.retain %s is less than destination.object_lock.retain %s: nothing may remove a record before its lock ends", d.Retain, lock.Retain))
	}
	if u, err := url.Parse(string(d.Endpoint)); err == nil && d.Endpoint != "" && u.Host == string(c.Doors.S3.Listen) {
		errs = append(errs, l.wrong("destination.endpoint", "destination.endpoint %s is this daemon's own S3 door: records would come back for ever; name the real S3 server", d.Endpoint))
	}
	return errors.Join(errs...)
}

func (l *Loaded) upload() error {
	if u := l.Config.Upload; u.BackoffMin > u.BackoffMax {
		return l.wrong("upload.backoff_min", "upload.backoff_min %s is more than upload.backoff_max %s", u.BackoffMin, u.BackoffMax)
	}
	return nil
}
