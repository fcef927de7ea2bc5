package recorder

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"indelible/internal/capture"
	"indelible/internal/disk/osdisk"
	"indelible/internal/record"
)

// kept are the bodies of records.
type kept struct{ bodies []string }

func (k *kept) Append(_ context.Context, r record.Record) (record.Receipt, error) {
	b, err := io.ReadAll(r.Body)
	k.bodies = append(k.bodies, string(b))
	return record.Receipt{Seq: 1}, err
}

// What is left of an answer under way becomes a record as far as it was written whole. A file whose first frame is
// damaged is told and kept; one of which a power cut left nothing is taken away.
func TestRecover(t *testing.T) {
	first, second := strings.Repeat("first", 4000), strings.Repeat("second", 4000)
	written := answerFile(t, first, second)
	tail := len(written) - len(second)
	older := answerFileOf(t, "older", first, second)
	for name, c := range map[string]struct {
		file []byte
		want string // of the answer; "" is no record
		gone bool
	}{
		"whole":                     {written, first + second, true},
		"empty":                     {nil, "", true},
		"cut in the last frame":     {written[:len(written)-1], first, true},
		"zeros for the last frame":  {append(bytes.Clone(written[:tail]), make([]byte, len(second))...), first, true},
		"zeros behind the end":      {append(bytes.Clone(written), make([]byte, 5000)...), first + second, true},
		"a bit in the last frame":   {flipped(written, len(written)-9), first, true},
		"cut in the first frame":    {written[:40], "", true},
		"nothing but zeros":         {make([]byte, len(written)), "", true},
		"zeros in the first frame":  {append(bytes.Clone(written[:30]), make([]byte, len(written)-30)...), "", true},
		"a bit in the first frame":  {flipped(written, 30), "", false},
		"a bit in the first length": {flipped(written, 1), "", false},
		"another file's frames":     {append(bytes.Clone(written[:tail-frameHeader]), older[len(older)-len(second)-frameHeader:]...), first, true},
		"another file":              {older, "", false},
		"written by another build":  {[]byte("{\"v\":1}\ndata: the answer\n"), "", false},
	} {
		root := t.TempDir()
		file := filepath.Join(root, Dir, "1"+answerSuffix)
		if err := errors.Join(os.Mkdir(filepath.Join(root, Dir), 0o700), os.WriteFile(file, c.file, 0o600)); err != nil {
			t.Fatal(err)
		}
		data, err := osdisk.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		var log kept
		r, err := New(Options{Log: &log, Door: "proxy", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Recover(t.Context())
		if _, serr := os.Stat(file); (err == nil) != c.gone || errors.Is(serr, fs.ErrNotExist) != c.gone {
			t.Errorf("%s: %v, the file: %v", name, err, serr)
		}
		if (len(log.bodies) == 1) != (c.want != "") {
			t.Errorf("%s: %d records", name, len(log.bodies))
		} else if c.want != "" {
			e, _, err := capture.Parse([]byte(log.bodies[0]))
			if err != nil || string(e.Response.Body.Bytes) != c.want || e.Transport != capture.Unknown || e.Kind != capture.Whole {
				t.Errorf("%s: %v, %d bytes, %s %s", name, err, len(e.Response.Body.Bytes), e.Kind, e.Transport)
			}
			if left := strings.Contains(e.Fault, "left out"); left == (name == "whole") {
				t.Errorf("%s: %s", name, e.Fault)
			}
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRecoverOnce has a file come back whose record was written: a power cut undoes a removal that was not synced. Whether the
// record is known, and whether that could be asked, decides.
func TestRecoverOnce(t *testing.T) {
	for name, c := range map[string]struct {
		known   bool
		err     error
		records int
	}{
		"recorded": {true, nil, 0}, "not recorded": {false, nil, 1}, "nobody knows": {false, errors.New("no network"), 1},
	} {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, Dir), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"1", "2"} {
			if err := os.WriteFile(filepath.Join(root, Dir, n+answerSuffix), answerFileOf(t, n, "answer"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		data, err := osdisk.Open(root)
		if err != nil {
			t.Fatal(err)
		}
		var log kept
		var far []bool
		r, err := New(Options{Log: &log, Door: "proxy", Data: data, Recorded: func(_ context.Context, key string, anywhere bool) (bool, error) {
			far = append(far, anywhere)
			if !strings.HasPrefix(key, "proxy/") || !strings.HasSuffix(key, "_1.json") {
				return false, c.err
			}
			return c.known, c.err
		}})
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.Recover(t.Context())
		if err != nil || n != c.records+1 || len(log.bodies) != n {
			t.Errorf("%s: %d recovered, %d records, %v", name, n, len(log.bodies), err)
		}
		if left, err := leftFiles(data); err != nil || len(left) != 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
		if len(far) != 2 || far[1] != (c.err == nil) {
			t.Errorf("%s: asked everywhere %v: after an error the destination is asked no more", name, far)
		}
		if err := data.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRecoverIsGivenUp has a process end while it still asks whether a record is known: the file stays, and nothing is recorded that may be there.
func TestRecoverIsGivenUp(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, Dir), 0o700), os.WriteFile(filepath.Join(root, Dir, "1"+answerSuffix), answerFileOf(t, "1", "answer"), 0o600)); err != nil {
		t.Fatal(err)
	}
	data, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	var log kept
	r, err := New(Options{Log: &log, Door: "proxy", Data: data, Recorded: func(ctx context.Context, _ string, _ bool) (bool, error) {
		end()
		<-ctx.Done()
		return false, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.Recover(ctx); n != 0 || !errors.Is(err, context.Canceled) || len(log.bodies) != 0 {
		t.Errorf("%d recovered, %d records, %v", n, len(log.bodies), err)
	}
	if left, err := leftFiles(data); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
	if err := data.Close(); err != nil {
		t.Error(err)
	}
}

// answerFile is what a process leaves of an answer that it has written in these parts.
func answerFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	return answerFileOf(t, "1", parts...)
}

func answerFileOf(t *testing.T, id string, parts ...string) []byte {
	t.Helper()
	return leftFileOf(t, id, answerSuffix, parts...)
}

func leftFileOf(t *testing.T, id, suffix string, parts ...string) []byte {
	t.Helper()
	root := t.TempDir()
	data, err := osdisk.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := data.MkdirAll(Dir); err != nil {
		t.Fatal(err)
	}
	r := &Recorder{o: Options{Data: data, MaxKept: 1 << 20}, shared: &shared{}}
	x := &exchange{r: r, c: capture.Exchange{ID: id, Method: "POST", URL: "https://h/x", Status: 200, Start: time.Now()}}
	tp := r.newTape(id+suffix, 1)
	tp.head = x.unfinished
	for _, p := range parts {
		if err := tp.write([]byte(p), time.Now()); err != nil {
			t.Fatal(err)
		}
		tp.flushLate()
	}
	tp.leave()
	b, err := os.ReadFile(filepath.Join(root, Dir, id+suffix))
	if err := errors.Join(err, data.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func flipped(b []byte, at int) []byte {
	c := bytes.Clone(b)
	c[at] ^= 4
	return c
}
