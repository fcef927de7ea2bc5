package query_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"indelible/internal/disk/crashdisk"
	"indelible/internal/layout"
	"indelible/internal/query"
	"indelible/internal/record"
	"indelible/internal/spool"
	"indelible/internal/store/dir"
)

// A record that was found in the spool is opened after it was stored, released and removed there.
func TestOpenAfterRelease(t *testing.T) {
	s, err := spool.Open(crashdisk.New(), spool.Options{Log: "test", SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names, err := layout.Parse("")
	if err != nil {
		t.Fatal(err)
	}
	st := dir.Open(crashdisk.New())
	body := bytes.Repeat([]byte("x"), 6<<10)
	for i := range 9 {
		r := record.Record{Door: "s3", Bucket: "b", Key: fmt.Sprint(i), Body: bytes.NewReader(body), Size: int64(len(body))}
		if _, err := s.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	r := query.New(s, st, names)
	e, ok, err := r.Find(t.Context(), "b", "0")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	o := names.Object(e.Info, "0", "test")
	o.Body = bytes.NewReader(body)
	_, err = st.Put(t.Context(), o)
	if err := errors.Join(err, s.Settle(t.Context(), record.Outcome{Info: e.Info, State: record.Stored}), s.Release(t.Context(), 8)); err != nil {
		t.Fatal(err)
	}
	content, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if got, err := io.ReadAll(content); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
