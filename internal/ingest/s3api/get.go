package s3api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"indelible/internal/record"
)

// overrides are the query parameters that replace headers of the answer.
var overrides = map[string]string{
	"response-cache-control":       "Cache-Control",
	"response-content-disposition": "Content-Disposition",
	"response-content-encoding":    "Content-Encoding",
	"response-content-language":    "Content-Language",
	"response-content-type":        "Content-Type",
	"response-expires":             "Expires",
}

// getObject answers GET and HEAD of a key with the newest bytes sent under it.
func (d *Door) getObject(q *request) error {
	if v := q.query.Get("versionId"); v != "" && v != "null" {
		return refuse(http.StatusNotFound, "NoSuchVersion", "The specified version does not exist.")
	}
	replaced, err := replacedHeaders(q)
	if err != nil {
		return err
	}
	ctx, cancel := d.reading(q)
	defer cancel()
	entry, found, err := d.records.Find(ctx, q.bucket, q.key)
	if err != nil {
		return err
	}
	if !found {
		return noSuchKey(q.key)
	}
	if err := checkGet(q.Header, &entry.Info); err != nil {
		return err
	}
	if entry.Attrs, err = d.sentAttrs(ctx, q, &entry.Info); err != nil {
		return err
	}
	part, err := wanted(q, &entry.Info)
	if err != nil {
		return err
	}
	if q.Method == http.MethodHead {
		writeObjectHead(q, &entry.Info, part, replaced)
		return nil
	}
	return d.writeObject(q, entry, part, replaced)
}

// reading bounds how long a read may wait for the destination, as a PUT may wait for the spool.
func (d *Door) reading(q *request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(q.Context(), d.maxHold)
}

// replacedHeaders are the headers that the query asks for, by name.
func replacedHeaders(q *request) (map[string]string, error) {
	if len(q.query) == 0 {
		return nil, nil
	}
	var replaced map[string]string
	for param, name := range overrides {
		if !q.query.Has(param) {
			continue
		}
		if q.auth.KeyID == "" {
			return nil, refuse(http.StatusBadRequest, "InvalidRequest",
				"Request specific response headers cannot be used for anonymous GET requests.")
		}
		if replaced == nil {
			replaced = make(map[string]string)
		}
		replaced[name] = q.query.Get(param)
	}
	return replaced, nil
}

// writeObjectHead sends the status and the headers of an object, or of a part of it.
func writeObjectHead(q *request, info *record.Info, part *span, replaced map[string]string) {
	h := q.w.Header()
	h["Content-Type"] = []string{"binary/octet-stream"}
	for _, a := range info.Attrs {
		switch name, isMeta := strings.CutPrefix(a.Name, metaAttr); {
		case isMeta && !strings.HasPrefix(name, "indelible-"):
			h[a.Name] = []string{a.Value}
		case !isMeta && a.Name[0] != ':':
			h[http.CanonicalHeaderKey(a.Name)] = []string{a.Value}
		}
	}
	for name, value := range replaced {
		h[name] = []string{value}
	}
	h["ETag"] = []string{etag(info)}
	h["Last-Modified"] = []string{info.Time.UTC().Format(http.TimeFormat)}
	h["Accept-Ranges"] = []string{"bytes"}
	if part.whole() && strings.EqualFold(q.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		writeChecksums(h, info.Attrs)
	}
	h["Content-Length"] = []string{itoa(part.length())}
	if part.partial {
		h["Content-Range"] = []string{part.contentRange()}
		q.w.WriteHeader(http.StatusPartialContent)
		return
	}
	q.w.WriteHeader(http.StatusOK)
}

// writeChecksums shows the checksums that the sender gave.
func writeChecksums(h http.Header, attrs record.Attrs) {
	for _, a := range attrs {
		if a.Name != record.AttrChecksum {
			continue
		}
		if algorithm, value, ok := strings.Cut(a.Value, " "); ok {
			h["x-amz-checksum-"+algorithm] = []string{value}
			h["x-amz-checksum-type"] = []string{"FULL_OBJECT"}
		}
	}
}

// checksumName is the algorithm of the checksum that the sender gave, or "".
func checksumName(attrs record.Attrs) string {
	algorithm, _, _ := strings.Cut(attrs.Get(record.AttrChecksum), " ")
	return algorithm
}

const copyBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// writeObject sends an object or a part of it. When the bytes turn out to be
// damaged on the way, the connection is cut: a short answer is no answer. The
// last bytes of a whole object are sent after its checksum was right.
func (d *Door) writeObject(q *request, entry record.Entry, part *span, replaced map[string]string) error {
	content, err := entry.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	if part.from > 0 {
		if _, err := content.Seek(part.from, io.SeekStart); err != nil {
			return err
		}
	}
	buf := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(buf)
	conn := http.NewResponseController(q.w)
	begun := false
	for left := part.length(); ; {
		chunk := buf[:min(left, copyBuffer)]
		err := readChunk(content, chunk, part.whole() && left == int64(len(chunk)))
		switch {
		case err != nil && !begun:
			return err // the client gets an error that it understands
		case err != nil:
			d.log.LogAttrs(q.Context(), slog.LevelError, "read of a record failed; connection cut",
				slog.String("request", q.id), slog.Uint64("seq", uint64(entry.Seq)), slog.Any("cause", err))
			panic(http.ErrAbortHandler)
		case !begun:
			writeObjectHead(q, &entry.Info, part, replaced)
			begun = true
		}
		_ = conn.SetWriteDeadline(time.Now().Add(d.pace.Pause)) // not supported: nobody is slow
		if _, err := q.w.Write(chunk); err != nil {
			return nil // the client is gone: nobody is left to tell
		}
		if left -= int64(len(chunk)); left == 0 {
			return nil
		}
	}
}

// readChunk fills chunk. At the last one of a whole object it reads on to the
// end, where the reader tells whether the bytes were right.
func readChunk(content io.Reader, chunk []byte, last bool) error {
	if _, err := io.ReadFull(content, chunk); err != nil {
		return err
	}
	if !last {
		return nil
	}
	var one [1]byte
	switch n, err := content.Read(one[:]); {
	case n != 0:
		return errors.New("the body is longer than its record says")
	case err != io.EOF:
		return err
	}
	return nil
}
