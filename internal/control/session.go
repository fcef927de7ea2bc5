package control

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"indelible/internal/version"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// SessionCookie keeps a browser's permission. Its value is derived from a token and
// signed with it, so that it holds over a restart of the daemon, ends after sessionLasts,
// and does not tell the token.
const SessionCookie = "indelible_session"

const sessionLasts = 12 * time.Hour

// permission is what a request may do.
type permission int

const (
	nothing permission = iota
	toRead
	toOperate // and to read
)

// names are the permissions in the API's words.
func (p permission) names() []string {
	return map[permission][]string{nothing: {}, toRead: {"read"}, toOperate: {"read", "operate"}}[p]
}

// tokens are the tokens of a.
func (a *Admin) tokens() map[permission]string {
	return map[permission]string{toRead: a.ReadToken, toOperate: a.OpToken}
}

// permission is what the header or else the cookie of a request allows, and until when; zero is for good.
func (a *Admin) permission(r *http.Request) (p permission, ends time.Time) {
	if r.Header.Get("Authorization") != "" {
		return a.ofHeader(r), time.Time{}
	}
	c, err := r.Cookie(SessionCookie)
	if err != nil {
		return nothing, time.Time{}
	}
	return a.ofSession(c.Value, time.Now())
}

// ofHeader is what "Authorization: Bearer TOKEN" allows.
func (a *Admin) ofHeader(r *http.Request) permission {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got := sha256.Sum256([]byte(token)) // equal lengths, so that the comparison takes equal time
	found := nothing
	for p, t := range a.tokens() {
		want := sha256.Sum256([]byte(t))
		if t != "" && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			found = max(found, p)
		}
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return nothing
	}
	return found
}

// session makes the value of the cookie: the permission and its end, and their MAC.
func session(p permission, token string, ends time.Time) string {
	text := strconv.Itoa(int(p)) + "." + strconv.FormatInt(ends.Unix(), 10)
	return text + "." + hex.EncodeToString(sessionMAC(token, text))
}

func sessionMAC(token, text string) []byte {
	h := hmac.New(sha256.New, []byte(token))
	h.Write([]byte("indelible session\n" + text))
	return h.Sum(nil)
}

// ofSession is what a cookie allows at this time, and until when.
func (a *Admin) ofSession(value string, now time.Time) (permission, time.Time) {
	at := strings.LastIndexByte(value, '.')
	if at < 0 {
		return nothing, time.Time{}
	}
	text := value[:at]
	mac, err := hex.DecodeString(value[at+1:])
	if err != nil {
		return nothing, time.Time{}
	}
	for p, token := range a.tokens() {
		if token == "" || !hmac.Equal(mac, sessionMAC(token, text)) {
			continue
		}
		kind, end, _ := strings.Cut(text, ".")
		if ends, err := strconv.ParseInt(end, 10, 64); err == nil && kind == strconv.Itoa(int(p)) && now.Unix() < ends {
			return p, time.Unix(ends, 0)
		}
	}
	return nothing, time.Time{}
}

// login turns the token in the header into a cookie that scripts cannot read and
// other sites cannot have sent.
func (a *Admin) login(w http.ResponseWriter, r *http.Request) {
	p := a.ofHeader(r)
	if p == nothing {
		unauthorized(w)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: SessionCookie, Value: session(p, a.tokens()[p], time.Now().Add(sessionLasts)), Path: "/", MaxAge: int(sessionLasts / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	a.whoami(w, p)
}

// logout takes the cookie away.
func logout(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: SessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	w.WriteHeader(http.StatusNoContent)
}

// whoami says what a session may do.
func (a *Admin) whoami(w http.ResponseWriter, p permission) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // an error here is a client that has gone
		Permissions []string `json:"permissions"`
		Version     string   `json:"version"`
	}{p.names(), version.Of().Version})
}

// allow lets in who has the permission. What goes on, as the dashboard's events do, ends with the session.
func (a *Admin) allow(least permission, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ends := a.permission(r)
		switch {
		case least == toOperate && a.OpToken == "":
			http.Error(w, "this takes the command line on this machine, or a token that is configured: admin.operator_token", http.StatusForbidden)
		case p < least:
			unauthorized(w)
		case !ends.IsZero():
			ctx, cancel := context.WithDeadline(r.Context(), ends)
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer realm="indelible"`)
	http.Error(w, "want the header \"Authorization: Bearer TOKEN\": admin.token to read, admin.operator_token to operate; a token that nobody configured is in <data>/"+TokenFile, http.StatusUnauthorized)
}
