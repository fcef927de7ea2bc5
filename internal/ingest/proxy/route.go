package proxy

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"

	"indelible/internal/capture"
	"indelible/internal/ingest"
	"indelible/internal/ingest/awssign"
	"indelible/internal/recorder"
)

// doorName is this door's name in records.
const doorName = "proxy"

// route is where a call goes.
type route struct {
	*upstream
	path, rawPath string              // the rest of the path, as sent
	sender        string              // as records name it; "": it has no credential of ours
	aws           awssign.Credentials // where the upstream has a signer
}

type routeKey struct{}

func withRoute(ctx context.Context, r *route) context.Context {
	return context.WithValue(ctx, routeKey{}, r)
}

// route finds the upstream of a request, and whether its sender may call it.
func (d *Door) route(r *http.Request) (*route, *ingest.Refusal) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	up := d.upstreams[name]
	if up == nil {
		return nil, d.notFound(r.URL.Path)
	}
	to := &route{upstream: up, path: strings.TrimPrefix(r.URL.Path, "/"+name)}
	if r.URL.RawPath != "" {
		rest, ok := strings.CutPrefix(r.URL.RawPath, "/"+name)
		if !ok { // an escape in the name
			return nil, d.notFound(r.URL.Path)
		}
		to.rawPath = rest
	}
	if to.base.Path != "" && slices.Contains(strings.FieldsFunc(to.path, isSeparator), "..") {
		return nil, badPath()
	}
	if d.open {
		return to, nil
	}
	return to, d.authenticate(r, to)
}

// isSeparator also takes what some servers take for one.
func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// authenticate looks for the door's token: in its own header, or, where the door has the upstream's
// key, where the client puts its credential.
func (d *Door) authenticate(r *http.Request, to *route) *ingest.Refusal {
	token := r.Header.Get(TokenHeader)
	if token == "" && (to.key != "" || to.signer != nil) {
		var scheme string
		if _, scheme, token = capture.FindCredential(r.Header, r.URL.RawQuery); strings.HasPrefix(scheme, "AWS4-") {
			token = "" // the id of a key is no secret
		}
	}
	probe := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}, RemoteAddr: r.RemoteAddr}
	sender, refusal := d.tokens.Authenticate(probe)
	if refusal == nil {
		to.sender = sender.Source()
	}
	return refusal
}

// rewrite sends a request on as it came: the path behind the upstream's name, the query and the
// headers byte for byte, but for the connection's own and the credential that the door sets.
func rewrite(p *httputil.ProxyRequest) {
	to, _ := p.In.Context().Value(routeKey{}).(*route)
	in, out := p.In, p.Out
	call := recorder.Call{
		Upstream: to.Name, Provider: to.Provider, Client: ingest.Host(in), Source: to.sender,
		Header: in.Header, Query: in.URL.RawQuery,
	}
	out.URL.Scheme, out.URL.Host, out.Host = to.base.Scheme, to.base.Host, ""
	base := strings.TrimSuffix(to.base.Path, "/")
	out.URL.Path, out.URL.RawPath = base+to.path, ""
	if rawBase := strings.TrimSuffix(to.base.EscapedPath(), "/"); to.rawPath != "" || rawBase != base {
		raw := to.rawPath
		if raw == "" {
			raw = (&url.URL{Path: to.path}).EscapedPath()
		}
		out.URL.RawPath = rawBase + raw
		if p := out.URL.RawPath; out.URL.EscapedPath() != p && !strings.HasPrefix(p, "//") {
			out.URL.Opaque = p // has bytes that net/url would escape, as {, | and é
		}
	}
	out.URL.RawQuery, out.URL.ForceQuery = in.URL.RawQuery, in.URL.ForceQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := in.Header[name]; ok {
			out.Header[name] = v
		}
	}
	out.Trailer = in.Trailer // filled as the body is read
	out.Header.Del("Expect") // it was answered here: the body is read before it is sent
	out.Header.Del(TokenHeader)
	if token := in.Header.Get(TokenHeader); token != "" {
		call.Secrets = append(call.Secrets, token)
	}
	if to.key != "" {
		to.setKey(out)
		call.Secrets = append(call.Secrets, to.key)
	}
	if to.signer != nil {
		dropCredentials(out)
		out.URL.RawQuery = awssign.Unsigned(out.Header, out.URL.RawQuery)
		call.Secrets = append(call.Secrets, to.aws.Secrets()...)
	}
	p.Out = out.WithContext(recorder.WithCall(out.Context(), call))
}

// signing signs the requests to upstreams that have a signer, as they are sent: below the recorder, which has read their bodies.
type signing struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s signing) RoundTrip(req *http.Request) (*http.Response, error) {
	if to, ok := req.Context().Value(routeKey{}).(*route); ok && to.signer != nil {
		signed, err := to.signer.Sign(req, to.aws)
		if err != nil {
			if req.Body != nil {
				_ = req.Body.Close() // RoundTrip must
			}
			if errors.Is(err, awssign.ErrNotKept) { // for want of room: see PassFull
				err = &recorder.RefusedError{Err: err}
			}
			return nil, err
		}
		resp, err := s.base.RoundTrip(signed)
		if err == nil && (resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized) {
			to.signer.Refused() // they may have been changed where they are kept
		}
		return resp, err
	}
	return s.base.RoundTrip(req)
}

// setKey puts the upstream's key in place of whatever credential the client sent.
func (u *upstream) setKey(out *http.Request) {
	dropCredentials(out)
	if u.Header == "" || strings.EqualFold(u.Header, "authorization") {
		out.Header.Set("Authorization", "Bearer "+u.key)
		return
	}
	out.Header.Set(u.Header, u.key)
}

// dropCredentials takes out whatever authenticate may have taken for the door's token.
func dropCredentials(out *http.Request) {
	for _, name := range []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		out.Header.Del(name)
	}
	out.URL.RawQuery = withoutKey(out.URL.RawQuery)
}

// withoutKey takes the parameter out of a query where authenticate looks for a credential.
func withoutKey(raw string) string {
	var rest []string
	for pair := range strings.SplitSeq(raw, "&") {
		if name, _, _ := strings.Cut(pair, "="); !capture.IsKey(name) {
			rest = append(rest, pair)
		}
	}
	return strings.Join(rest, "&")
}
