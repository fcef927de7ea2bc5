package jsonapi

import (
	"errors"

	"indelible/internal/ingest"
)

// read reads and decodes the whole body into q.data.
func (d *Door) read(q *request) error {
	encoding := ingest.Encoding(q.Header)
	if encoding == "" && q.ContentLength > d.bodies.Max() {
		return d.tooLarge()
	}
	var err error
	q.data, err = q.reading.Decoded(q.Context(), &q.body, encoding, q.ContentLength)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*ingest.UnknownEncodingError](err); ok {
		return unsupportedEncoding(e.Name)
	}
	switch {
	case q.body.Err() != nil:
		return broken(q.body.Err())
	case errors.Is(err, ingest.ErrTooLong):
		return d.tooLarge()
	case errors.Is(err, ingest.ErrHeld):
		return err
	case errors.Is(err, ingest.ErrWideWindow):
		return wideWindow(err)
	}
	return badEncoding(encoding, err)
}
