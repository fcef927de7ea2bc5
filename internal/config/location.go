package config

import (
	"net/url"
	"path/filepath"
	"strings"
)

// StoreURL is a destination as text, such as ParseLocation takes apart.
type StoreURL string

// UnmarshalText refuses what ParseLocation refuses.
func (u *StoreURL) UnmarshalText(text []byte) error {
	_, err := ParseLocation(string(text))
	return take(u, StoreURL(text), err)
}

// Location is a destination, taken apart.
type Location struct {
	Bucket string // of an s3:// URL; "" for a directory
	Dir    string // the directory, as written; "" for a bucket
	Prefix string // what stands behind the bucket, or from the first path segment that holds a "{": may hold {bucket}
}

// ParseLocation reads s3://bucket[/prefix], file:///dir or a plain path.
func ParseLocation(s string) (Location, error) {
	if wrong := wrongLocation(s); wrong != "" {
		return Location{}, &Error{Problem: wrong}
	}
	if rest, ok := strings.CutPrefix(s, "s3://"); ok {
		bucket, prefix, _ := strings.Cut(rest, "/")
		return Location{Bucket: bucket, Prefix: strings.Trim(prefix, "/")}, nil
	}
	dir := s
	if strings.HasPrefix(s, "file://") {
		dir, _ = filePath(s)
	}
	// A template begins the prefix; what stands before it is the store's root.
	if before, _, ok := strings.Cut(dir, "{"); ok {
		cut := strings.LastIndexByte(filepath.ToSlash(before), '/') + 1
		root := dir[:cut]
		if root == "" {
			root = "."
		}
		return Location{Dir: filepath.Clean(root), Prefix: strings.Trim(filepath.ToSlash(dir[cut:]), "/")}, nil
	}
	return Location{Dir: filepath.Clean(dir)}, nil
}

// wrongLocation says what is wrong with a destination, or "".
func wrongLocation(s string) string {
	const want = "want s3://bucket[/prefix], file:///dir or a path"
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case s == "":
		return want
	case !isURL:
		if near := Suggest(strings.SplitN(s, ":", 2)[0], []string{"s3", "file"}); near != "" && strings.Contains(s, ":/") {
			return want + " (did you mean " + near + "://?)"
		}
		return ""
	case scheme == "s3":
		bucket, _, _ := strings.Cut(rest, "/")
		if len(bucket) < 3 || len(bucket) > 63 || strings.ContainsAny(bucket, "@:?# {}%") {
			return want + "; a bucket's name has 3 to 63 letters, digits, '-' and '.'"
		}
		return ""
	case scheme == "file":
		if _, ok := filePath(s); !ok {
			return want + "; a file URL has three slashes and an absolute path"
		}
		return ""
	}
	if near := Suggest(scheme, []string{"s3", "file"}); near != "" {
		return want + " (did you mean " + near + "://?)"
	}
	return want
}

// filePath is the path of a file URL. Percent escapes are undone; braces may
// stand as they are.
func filePath(s string) (string, bool) {
	rest, ok := strings.CutPrefix(s, "file://")
	rest = strings.TrimPrefix(rest, "localhost")
	if !ok || !strings.HasPrefix(rest, "/") {
		return "", false
	}
	path, err := url.PathUnescape(rest)
	if err != nil || strings.ContainsRune(path, 0) {
		return "", false
	}
	if len(path) > 2 && path[2] == ':' { // file:///C:/dir
		path = path[1:]
	}
	return filepath.FromSlash(path), true
}

// fileURL is the file URL of an absolute path.
func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return "file://" + urlEscape(path)
}

// urlEscape escapes what would end a path in a URL, and leaves braces alone.
func urlEscape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", " ", "%20").Replace(path)
}
