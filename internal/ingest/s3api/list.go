package s3api

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"

	"indelible/internal/ingest"
	"indelible/internal/query"
)

const (
	isoTime = "2006-01-02T15:04:05.000Z"
	maxPage = 1000 // rows of one list answer, as S3 has it
)

// listing is a ListObjects request, version 1 or 2.
type listing struct {
	v2         bool
	prefix     string
	delimiter  string
	after      string // marker, continuation token or start-after, whichever rules
	marker     string
	startAfter string
	token      string // as sent
	hasToken   bool
	maxKeys    int
	owner      bool
	encode     bool
}

// listObjects answers ListObjects and ListObjectsV2. Common prefixes count as rows.
func (d *Door) listObjects(q *request) error {
	l, err := parseListing(q)
	if err != nil {
		return err
	}
	rows, truncated, err := d.page(q, l)
	if err != nil {
		return err
	}
	writeXML(q, http.StatusOK, l.document(q.bucket, rows, truncated))
	return nil
}

// page reads one page, and whether there is more behind it.
func (d *Door) page(q *request, l *listing) (rows []query.Item, truncated bool, err error) {
	if l.maxKeys == 0 {
		return nil, false, nil
	}
	o := query.ListOptions{Prefix: l.prefix, After: l.after, Delimiter: l.delimiter, Limit: l.maxKeys + 1}
	ctx, cancel := d.reading(q)
	defer cancel()
	for item, err := range d.records.List(ctx, q.bucket, o) {
		if err != nil {
			return nil, false, err
		}
		if item.Prefix != "" && item.Prefix == l.after {
			continue // the last row of the page before
		}
		if len(rows) == l.maxKeys {
			return rows, true, nil
		}
		rows = append(rows, item)
	}
	return rows, false, nil
}

func parseListing(q *request) (*listing, error) {
	get := q.query.Get
	l := &listing{v2: get("list-type") == "2", prefix: get("prefix"), delimiter: get("delimiter"), maxKeys: maxPage}
	if t := get("list-type"); t != "" && t != "2" && t != "1" {
		return nil, invalidArgument("list-type", t, "Invalid List Type specified in Request")
	}
	if s := get("max-keys"); s != "" {
		n, err := strconv.ParseInt(s, 10, 32)
		switch {
		case err != nil:
			return nil, invalidArgument("max-keys", s, "Provided max-keys not an integer or within integer range")
		case n < 0:
			return nil, invalidArgument("max-keys", s, "Argument maxKeys must be an integer between 0 and 2147483647")
		}
		l.maxKeys = int(min(n, maxPage))
	}
	if s := get("encoding-type"); s != "" {
		if s != "url" {
			return nil, invalidArgument("encoding-type", s, "Invalid Encoding Method specified in Request")
		}
		l.encode = true
	}
	if !l.v2 {
		l.marker, l.owner = get("marker"), true
		l.after = l.marker
		return l, nil
	}
	l.owner = get("fetch-owner") == "true"
	l.startAfter, l.token, l.hasToken = get("start-after"), get("continuation-token"), q.query.Has("continuation-token")
	l.after = l.startAfter
	if l.token != "" {
		after, ok := parseToken(l.token)
		if !ok {
			return nil, badToken(l.token)
		}
		l.after = after
	}
	return l, nil
}

// A continuation token is the last row's name, behind a version, so that a
// list goes on after a restart and whatever came in between.
func makeToken(name string) string { return base64.RawURLEncoding.EncodeToString([]byte("1" + name)) }

func parseToken(token string) (name string, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) < 2 || b[0] != '1' {
		return "", false
	}
	return string(b[1:]), true
}

func badToken(token string) *ingest.Refusal {
	return invalidArgument("continuation-token", token, "The continuation token provided is incorrect")
}

// document is the XML of a page.
func (l *listing) document(bucket string, rows []query.Item, truncated bool) string {
	var b strings.Builder
	b.Grow(512 + 400*len(rows))
	b.WriteString(xmlHeader + "<ListBucketResult" + xmlns + ">" + element("Name", bucket) + l.name("Prefix", l.prefix))
	l.position(&b, rows, truncated)
	b.WriteString(element("MaxKeys", strconv.Itoa(l.maxKeys)))
	if l.delimiter != "" {
		b.WriteString(l.name("Delimiter", l.delimiter))
	}
	if l.encode {
		b.WriteString("<EncodingType>url</EncodingType>")
	}
	b.WriteString(element("IsTruncated", strconv.FormatBool(truncated)))
	for _, row := range rows {
		if row.Prefix == "" {
			l.contents(&b, row)
		}
	}
	for _, row := range rows {
		if row.Prefix != "" {
			b.WriteString("<CommonPrefixes>" + l.name("Prefix", row.Prefix) + "</CommonPrefixes>")
		}
	}
	b.WriteString("</ListBucketResult>")
	return b.String()
}

// position says where the page begins and where the next one does.
func (l *listing) position(b *strings.Builder, rows []query.Item, truncated bool) {
	last := ""
	if truncated {
		last = rowName(rows[len(rows)-1])
	}
	if !l.v2 {
		b.WriteString(l.name("Marker", l.marker))
		if truncated && l.delimiter != "" {
			b.WriteString(l.name("NextMarker", last))
		}
		return
	}
	if l.startAfter != "" {
		b.WriteString(l.name("StartAfter", l.startAfter))
	}
	if l.hasToken {
		b.WriteString(element("ContinuationToken", l.token))
	}
	if truncated {
		b.WriteString(element("NextContinuationToken", makeToken(last)))
	}
	b.WriteString(element("KeyCount", strconv.Itoa(len(rows))))
}

func (l *listing) contents(b *strings.Builder, row query.Item) {
	b.WriteString("<Contents>" + l.name("Key", row.Key) + element("LastModified", row.Time.UTC().Format(isoTime)) +
		element("ETag", etag(&row.Info)))
	if algorithm := checksumName(row.Attrs); algorithm != "" {
		b.WriteString(element("ChecksumAlgorithm", strings.ToUpper(algorithm)) + "<ChecksumType>FULL_OBJECT</ChecksumType>")
	}
	b.WriteString(element("Size", strconv.FormatInt(row.Size, 10)))
	if l.owner {
		b.WriteString(owner)
	}
	b.WriteString("<StorageClass>STANDARD</StorageClass></Contents>")
}

// name is an element that holds a key or a part of one.
func (l *listing) name(name, text string) string {
	if l.encode {
		text = escapeURL(text)
	}
	return element(name, text)
}

// rowName is what a row is sorted by.
func rowName(row query.Item) string { return row.Prefix + row.Key }
