// Package s3server is an S3 server on loopback in front of a store.Store for each
// bucket: what the demo takes away and brings back. It speaks the part of S3 that the S3
// driver uses, compares checksums, enforces conditions, and checks no signature.
package s3server

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"

	"indelible/internal/store"
)

// Server is a handler for path-style requests. It is safe for concurrent use.
type Server struct {
	// Buckets are the stores by the names of their buckets; others are answered with
	// NoSuchBucket. It must not change while the server serves.
	Buckets map[string]store.Store
}

// maxBody bounds an object: its body is held in memory until it is stored.
const maxBody = 64 << 20

// failure is an answer with S3's error document.
type failure struct {
	status        int
	code, message string
}

func (f *failure) Error() string { return f.code + ": " + f.message }

var (
	errNoBucket   = &failure{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"}
	errNoKey      = &failure{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
	errNoLock     = &failure{http.StatusNotFound, "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket"}
	errCondition  = &failure{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"}
	errDigest     = &failure{http.StatusBadRequest, "BadDigest", "The checksum you specified did not match what we received."}
	errIncomplete = &failure{http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	errNoLength   = &failure{http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	errTooLarge   = &failure{http.StatusBadRequest, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"}
	errKey        = &failure{http.StatusBadRequest, "KeyTooLongError", "Your key is too long"}
	errRange      = &failure{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable"}
	errArgument   = &failure{http.StatusBadRequest, "InvalidArgument", "Invalid argument"}
	errMethod     = &failure{http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."}
	errSlowDown   = &failure{http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."}
)

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := s.serve(w, r); err != nil {
		Refuse(w, r, err)
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	name, key, isObject := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	b, ok := s.Buckets[name]
	if !ok {
		return errNoBucket
	}
	if !isObject || key == "" {
		return bucket(w, r, name, b)
	}
	switch r.Method {
	case http.MethodPut:
		return put(w, r, b, key)
	case http.MethodGet, http.MethodHead:
		return get(w, r, b, key)
	}
	return errMethod
}

// bucket answers about a bucket itself.
func bucket(w http.ResponseWriter, r *http.Request, name string, b store.Store) error {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodHead:
		return nil
	case r.Method != http.MethodGet:
		return errMethod
	case q.Has("versioning"):
		return writeXML(w, http.StatusOK, struct {
			XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ VersioningConfiguration"`
		}{})
	case q.Has("object-lock"):
		return errNoLock
	case q.Has("versions"):
		return versions(w, r, name, b)
	}
	return list(w, r, name, b)
}

// SlowDown answers as S3 does when it asks for less.
func SlowDown(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody)) // as S3 does, so that the connection can be used again
	Refuse(w, r, errSlowDown)
}

// Refuse answers with the status and the document of S3 that fit err.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = failureOf(err)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(f.status)
		return
	}
	_ = writeXML(w, f.status, struct { // an error here is a client that has gone
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: f.code, Message: f.message})
}

func failureOf(err error) *failure {
	switch store.ClassOf(err) {
	case store.Exists:
		return errCondition
	case store.NotFound:
		return errNoKey
	case store.Poison:
		return errKey
	case store.Throttled:
		return errSlowDown
	}
	return &failure{http.StatusInternalServerError, "InternalError", err.Error()}
}

func writeXML(w http.ResponseWriter, status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), b...)) // an error here is a client that has gone
	return nil
}
