package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"

	"indelible/internal/catalog"
)

// text writes a record as text.
func (x *exporter) text(h catalog.Hit, body []byte) (int, error) {
	if x.format == "bodies" {
		return x.body(body)
	}
	return x.envelope(h, body)
}

// envelope writes a record's line of NDJSON. Bytes that are JSON without a line break stand in it as they
// are, so that the SHA-256 beside them is theirs.
func (x *exporter) envelope(h catalog.Hit, body []byte) (int, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return 0, err
	}
	line := bytes.NewBuffer(head[:len(head)-1])
	if oneLine(body) {
		line.WriteString(`,"body":`)
		line.Write(body)
	} else {
		line.WriteString(`,"body_base64":"`)
		line.WriteString(base64.StdEncoding.EncodeToString(body))
		line.WriteByte('"')
	}
	line.WriteString("}\n")
	return x.out.Write(line.Bytes())
}

// oneLine says whether bytes are one JSON value that can stand in a line of NDJSON unchanged.
func oneLine(body []byte) bool { return bytes.IndexByte(body, '\n') < 0 && json.Valid(body) }

// body writes a record's own bytes. JSON over several lines is put on one; the lines of a batch are lines already.
func (x *exporter) body(body []byte) (int, error) {
	switch {
	case oneLine(body):
	case json.Valid(body):
		var b bytes.Buffer
		if err := json.Compact(&b, body); err != nil {
			return 0, err
		}
		body = b.Bytes()
	default:
		for line := range bytes.Lines(bytes.TrimRight(body, "\n")) {
			if !json.Valid(line) {
				x.raw++
				break
			}
		}
		body = bytes.TrimSuffix(body, []byte("\n"))
	}
	n, err := x.out.Write(body)
	if err == nil {
		err = x.out.WriteByte('\n')
	}
	return n + 1, err
}

// load reads the state that an earlier call has kept.
func (x *exporter) load() (kept bool, err error) {
	at, kept, err := loadState(x.state, x.at.stateOf)
	if kept {
		x.at, x.saved = at, at.Bytes
	}
	return kept, err
}

// save keeps how far it has come, once what it has written is in the file.
func (x *exporter) save() error {
	if err := x.out.Flush(); err != nil {
		return err
	}
	if x.file != nil {
		if err := x.file.Sync(); err != nil && regular(x.file) {
			return err
		}
	}
	x.saved = x.at.Bytes
	return writeFile(x.state, func(w io.Writer) error { return writeJSON(w, x.at) })
}

func regular(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}
