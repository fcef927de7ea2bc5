package s3api

import (
	"net/http"
	"strconv"
	"strings"

	"indelible/internal/ingest"
	"indelible/internal/record"
)

// span is the part of an object that is wanted: the bytes [from, to) of size.
type span struct {
	from, to, size int64
	partial        bool // answered 206
}

func (s *span) length() int64 { return s.to - s.from }
func (s *span) whole() bool   { return s.length() == s.size }

func (s *span) contentRange() string {
	return "bytes " + itoa(s.from) + "-" + itoa(s.to-1) + "/" + itoa(s.size)
}

// wanted reads Range and partNumber. A Range that S3 does not serve (several
// ranges, another unit, nonsense) means the whole object.
func wanted(q *request, info *record.Info) (*span, error) {
	all := &span{to: info.Size, size: info.Size}
	header := q.Header.Get("Range")
	if s := q.query.Get("partNumber"); s != "" {
		return wantedPart(s, header, all)
	}
	if header == "" || !sameVersion(q.Header, info) {
		return all, nil
	}
	part, ok := parseRange(header, info.Size)
	if !ok {
		return all, nil
	}
	if part == nil {
		return nil, invalidRange(header, info.Size)
	}
	return part, nil
}

// wantedPart serves the only part that an object has.
func wantedPart(number, header string, all *span) (*span, error) {
	switch n, err := strconv.Atoi(number); {
	case err != nil || n < 1 || n > 10000:
		return nil, invalidArgument("partNumber", number, "Part number must be an integer between 1 and 10000, inclusive")
	case header != "":
		return nil, refuse(http.StatusBadRequest, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	case n > 1:
		return nil, refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidPartNumber", "The requested partnumber is not satisfiable")
	}
	all.partial = all.size > 0
	return all, nil
}

// sameVersion tells whether an If-Range, if there is one, is about these bytes.
func sameVersion(h http.Header, info *record.Info) bool {
	v := h.Get("If-Range")
	if v == "" {
		return true
	}
	if t, err := http.ParseTime(v); err == nil {
		return t.Unix() == info.Time.Unix()
	}
	return !strings.HasPrefix(v, "W/") && matches(v, etag(info))
}

// parseRange reads a Range header. ok is unset if it is to be ignored; the
// span is nil if it cannot be satisfied.
func parseRange(header string, size int64) (part *span, ok bool) {
	set, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(set, ",") {
		return nil, false
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return nil, false
	}
	if first == "" { // the last n bytes
		n, ok := parseOffset(last)
		if !ok {
			return nil, false
		}
		if n == 0 || size == 0 {
			return nil, true
		}
		return &span{from: max(0, size-n), to: size, size: size, partial: true}, true
	}
	from, ok := parseOffset(first)
	if !ok {
		return nil, false
	}
	to := size
	if last != "" {
		n, ok := parseOffset(last)
		if !ok || n < from {
			return nil, false
		}
		to = min(size, n+1)
	}
	if from >= size {
		return nil, true
	}
	return &span{from: from, to: to, size: size, partial: true}, true
}

// parseOffset reads digits only. An offset too large to be meant is the largest.
func parseOffset(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	const most = 1 << 62
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return most, true
	}
	return min(n, most), true
}

func invalidRange(header string, size int64) *ingest.Refusal {
	e := refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable")
	e.Detail = element("RangeRequested", header) + element("ActualObjectSize", itoa(size))
	e.Header = http.Header{"Content-Range": {"bytes */" + itoa(size)}}
	return e
}
