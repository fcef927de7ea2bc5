package control

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// cookieOf signs in with a token, and returns the cookie; nil where it was refused.
func cookieOf(t *testing.T, a *Admin, token string) *http.Cookie {
	t.Helper()
	r := httptest.NewRequest("POST", "/api/session", nil)
	r.Host = "127.0.0.1:9001"
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	a.Handler(&answers{}).ServeHTTP(w, r)
	cookies := w.Result().Cookies()
	if w.Code != 200 || len(cookies) != 1 {
		return nil
	}
	return cookies[0]
}

// try makes a request with a cookie, and returns its status.
func try(a *Admin, what string, c *http.Cookie) int {
	method, path, _ := strings.Cut(what, " ")
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:9001"
	if c != nil {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.Handler(&answers{}).ServeHTTP(w, r)
	return w.Code
}

// A token becomes a cookie with the same permission, which scripts and other sites do not
// get at, and which does not tell the token.
func TestSession(t *testing.T) {
	a := &Admin{ReadToken: "reader", OpToken: "operator", Metrics: http.NotFoundHandler(), Ready: func() (bool, string) { return true, "" }}
	if c := cookieOf(t, a, "wrong"); c != nil {
		t.Fatalf("a wrong token gets %v", c)
	}
	read, operate := cookieOf(t, a, "reader"), cookieOf(t, a, "operator")
	for _, c := range []*http.Cookie{read, operate} {
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || strings.Contains(c.Value, "reader") || strings.Contains(c.Value, "operator") {
			t.Fatalf("%+v", c)
		}
	}
	for _, tt := range []struct {
		what   string
		cookie *http.Cookie
		want   int
	}{
		{"GET /api/status", nil, 401},
		{"GET /api/status", read, 200},
		{"GET /api/status", operate, 200},
		{"GET /api/session", read, 200},
		{"POST /api/redrive", read, 401},
		{"POST /api/redrive", operate, 200},
		{"DELETE /api/session", read, 204},
	} {
		if got := try(a, tt.what, tt.cookie); got != tt.want {
			t.Errorf("%s with %v: %d, want %d", tt.what, tt.cookie, got, tt.want)
		}
	}
	// It holds for a daemon that was started again, and not for one with another token.
	if got := try(&Admin{ReadToken: "reader", Metrics: a.Metrics, Ready: a.Ready}, "GET /api/status", read); got != 200 {
		t.Errorf("after a restart: %d", got)
	}
	if got := try(&Admin{ReadToken: "another", OpToken: "too", Metrics: a.Metrics, Ready: a.Ready}, "GET /api/status", read); got != 401 {
		t.Errorf("with another token: %d", got)
	}
}

// What was not signed, says more than was signed, or is over, is no session.
func TestForgedSession(t *testing.T) {
	a := &Admin{ReadToken: "reader", OpToken: "operator"}
	now := time.Now()
	good := session(toRead, "reader", now.Add(time.Minute))
	if got, _ := a.ofSession(good, now); got != toRead {
		t.Fatalf("%q allows %v", good, got)
	}
	for name, value := range map[string]string{
		"empty": "", "dots": "..", "no mac": strings.TrimRight(good, "0123456789abcdef"),
		"longer":             strings.Replace(good, "1.", "1.9", 1),
		"to operate":         "2" + good[1:],
		"operating, by read": session(toOperate, "reader", now.Add(time.Minute)),
		"over":               session(toRead, "reader", now.Add(-time.Second)),
		"no token":           session(toRead, "", now.Add(time.Minute)),
		"another's":          session(toRead, "x", now.Add(time.Minute)),
	} {
		if got, _ := a.ofSession(value, now); got != nothing {
			t.Errorf("%s: %q allows %v", name, value, got)
		}
	}
	if got, _ := (&Admin{ReadToken: "reader"}).ofSession(session(toOperate, "", now.Add(time.Minute)), now); got != nothing {
		t.Errorf("where nobody may operate, \"\" signs for %v", got)
	}
}

// An open stream of events ends with the session that it was opened with.
func TestStreamEndsWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &Admin{ReadToken: "reader"}
		begun := time.Now()
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/events", nil)
		r.AddCookie(&http.Cookie{Name: SessionCookie, Value: session(toRead, "reader", begun.Add(sessionLasts))})
		time.Sleep(time.Hour)
		w := httptest.NewRecorder()
		a.allow(toRead, NewLive(Source{})).ServeHTTP(w, r)
		if took := time.Since(begun); took != sessionLasts || w.Code != 200 {
			t.Errorf("%d, ended after %v", w.Code, took)
		}
	})
}
