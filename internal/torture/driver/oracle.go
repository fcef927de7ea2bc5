package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"indelible/internal/layout/pack"
	"indelible/internal/record"
)

// copyOf is one version of a key: what a sender sends once.
type copyOf struct {
	key     string
	version int
	json    bool // through the JSON door, under a key of the door's choice
}

func (c copyOf) body() []byte {
	if c.json {
		return JSON(c.key)
	}
	return Body(c.key, c.version)
}

// Oracle knows what was sent and what was acked. It is safe for concurrent use.
// It keeps no bodies: they follow from the keys.
type Oracle struct {
	mu    sync.Mutex
	sent  map[copyOf]bool // whether it was acked; guarded by mu
	acks  int             // guarded by mu
	wrong []string        // answers that should not be; guarded by mu

	numbers map[string]copyOf // which record has a log's number, by the acks; guarded by mu
	twice   int               // numbers that two records were given; guarded by mu
	repeat  bool              // numbers may be given again; guarded by mu
}

// NewOracle knows of nothing yet.
func NewOracle() *Oracle {
	return &Oracle{sent: map[copyOf]bool{}, numbers: map[string]copyOf{}}
}

func (o *Oracle) note(c copyOf, acked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent[c] = acked || o.sent[c]
	if acked {
		o.acks++
	}
}

// Acked is how many different records were acked.
func (o *Oracle) Acked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, acked := range o.sent {
		if acked {
			n++
		}
	}
	return n
}

// Twice is how many numbers two acked records were given.
func (o *Oracle) Twice() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.twice
}

// NumbersMayRepeat says that from now on a number may be given again: what runs cannot know of the
// first time.
func (o *Oracle) NumbersMayRepeat() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.repeat = true
}

// Keys are the keys with a prefix that were acked at the S3 door.
func (o *Oracle) Keys(prefix string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []string
	for c, acked := range o.sent {
		if acked && !c.json && strings.HasPrefix(c.key, prefix) {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// Acks is how many acks came, those for what was sent again included.
func (o *Oracle) Acks() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acks
}

// Put sends a version of a key to the S3 door and notes the ack, if one comes.
func (o *Oracle) Put(ctx context.Context, client *http.Client, addr, key string, version int) error {
	c := copyOf{key: key, version: version}
	o.note(c, false)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/audit/"+key, bytes.NewReader(c.body()))
	if err != nil {
		return err
	}
	return o.send(client, req, c)
}

// Post sends a record to the JSON door and notes the ack, if one comes.
func (o *Oracle) Post(ctx context.Context, client *http.Client, addr, key string) error {
	c := copyOf{key: key, json: true}
	o.note(c, false)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/v1/records", bytes.NewReader(c.body()))
	if err != nil {
		return err
	}
	return o.send(client, req, c)
}

// StatusError is an answer other than 200.
type StatusError struct {
	Status int
	Text   string
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Text) }

func (o *Oracle) send(client *http.Client, req *http.Request, c copyOf) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return &StatusError{resp.StatusCode, string(text)}
	}
	receipt := resp.Header.Get("x-indelible-receipt")
	o.numbered(c, receipt)
	o.note(c, true) // the header is the ack, also where the rest of the answer is lost
	return err
}

// numbered checks a receipt: it is about these bytes, and its number is no other record's.
func (o *Oracle) numbered(c copyOf, receipt string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	number, ours := strings.CutSuffix(receipt, fmt.Sprintf("/%x", digest(c.body())))
	if !ours {
		o.wrong = append(o.wrong, fmt.Sprintf("%s: receipt %q, which is not about its %d bytes", c.key, receipt, len(c.body())))
		return
	}
	if other, ok := o.numbers[number]; ok && other != c && !o.repeat {
		o.twice++
		o.wrong = append(o.wrong, fmt.Sprintf("number %s was given to %s version %d and to %s version %d", number, other.key, other.version, c.key, c.version))
	}
	o.numbers[number] = c
}

// Load sends until ctx ends or the server is gone: new records, some of them
// through the JSON door, now and then one that was sent before, or other bytes under its key.
func (o *Oracle) Load(ctx context.Context, s3, json, dir string, rng *rand.Rand) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for n := uint64(0); ctx.Err() == nil; n++ {
		size := Size(rng)
		key := Name(dir, n, size)
		var err error
		switch rng.IntN(12) {
		case 0:
			err = o.Post(ctx, client, json, key)
		case 1:
			if err = o.Put(ctx, client, s3, key, 0); err == nil {
				err = o.Put(ctx, client, s3, key, 0)
			}
		case 2:
			if err = o.Put(ctx, client, s3, key, 0); err == nil && size >= 8 { // shorter ones may be alike
				err = o.Put(ctx, client, s3, key, 1)
			}
		default:
			err = o.Put(ctx, client, s3, key, 0)
		}
		if err != nil {
			return
		}
	}
}

// Retry sends again what was not acked, as senders do, until it is. What went to
// the JSON door is left alone: its key would be another.
func (o *Oracle) Retry(ctx context.Context, s3 string) error {
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	o.mu.Lock()
	var again []copyOf
	for c, acked := range o.sent {
		if !acked && !c.json {
			again = append(again, c)
		}
	}
	o.mu.Unlock()
	for _, c := range again {
		if err := o.Put(ctx, client, s3, c.key, c.version); err != nil {
			return fmt.Errorf("send %s again: %w", c.key, err)
		}
	}
	return nil
}

// Findings is what an oracle found wrong.
type Findings struct {
	Lost, Duplicated, Corrupted int
	Twice                       int      // numbers that two acked records were given
	Missing                     []string // keys of what is lost
	What                        []string // in words, the first of each
	Objects                     int      // that were there
}

func (f *Findings) say(format string, args ...any) {
	if len(f.What) < 20 {
		f.What = append(f.What, fmt.Sprintf(format, args...))
	}
}

// Err is nil if nothing was found.
func (f *Findings) Err() error {
	if f.Lost+f.Duplicated+f.Corrupted+len(f.What) == 0 {
		return nil
	}
	return fmt.Errorf("%d lost, %d duplicated, %d corrupted of %d objects:\n%s", f.Lost, f.Duplicated, f.Corrupted, f.Objects, strings.Join(f.What, "\n"))
}

// Check compares a bucket, which is a directory, with what was sent: everything
// acked is there once, byte for byte; what was not acked is whole or absent; nothing else is there.
func (o *Oracle) Check(dir string) (*Findings, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := &Findings{What: append([]string(nil), o.wrong...), Twice: o.twice}
	found, seqs := map[copyOf]string{}, map[record.Seq]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "_indelible" || d.Name() == ".sgwtmp"): // the log, and the S3 server's own
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		body, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f.Objects++
		key := filepath.ToSlash(rel)
		if strings.HasPrefix(key, "packs/") {
			return o.rows(f, found, seqs, dir, key, body)
		}
		o.take(f, found, key, key, body)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for c, acked := range o.sent {
		if acked && found[c] == "" {
			f.Lost++
			f.Missing = append(f.Missing, c.key)
			f.say("%s version %d was acked and is not there", c.key, c.version)
		}
	}
	return f, nil
}

// take notes one record that was found, under a key, in an object. The caller holds o.mu.
func (o *Oracle) take(f *Findings, found map[copyOf]string, key, object string, body []byte) {
	c, ok := o.identify(key, body)
	switch {
	case !ok:
		f.Corrupted++
		_, sent := o.sent[copyOf{key: variant(key)}]
		f.say("%s in %s: %d bytes that nobody sent under this key (the key was sent: %v; bytes of a body of that name: %v)", key, object, len(body), sent, bytes.Equal(body, Body(variant(key), 0)))
	case found[c] != "":
		f.Duplicated++
		f.say("%s is there twice: %s and %s", c.key, found[c], object)
	}
	found[c] = object
}

// rows takes the rows of a pack. What lies beside packs is read where a row names it. A record that was sent
// again after its first copy had left the spool has another number and a row of its own; no number has two. The caller holds o.mu.
func (o *Oracle) rows(f *Findings, found map[copyOf]string, seqs map[record.Seq]string, dir, object string, file []byte) error {
	if !strings.HasSuffix(object, ".parquet") {
		return nil
	}
	r, err := pack.Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		f.Corrupted++
		f.say("%s: %v", object, err)
		return nil
	}
	for row, err := range r.Rows(context.Background()) {
		if err != nil {
			f.Corrupted++
			f.say("%s: %v", object, err)
			return nil
		}
		body := row.Body
		if row.Object != "" {
			if body, err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(row.Object))); err != nil {
				return err
			}
		}
		if other := seqs[row.Info.Seq]; other != "" {
			f.Duplicated++
			f.say("record %d is there twice: %s and %s", row.Info.Seq, other, object)
		}
		seqs[row.Info.Seq] = object
		if c, ok := o.identify(row.Key, body); ok {
			delete(found, c)
		}
		o.take(f, found, row.Key, object, body)
	}
	return nil
}

// identify tells what was sent that is stored under a key. The caller holds o.mu.
func (o *Oracle) identify(key string, body []byte) (copyOf, bool) {
	if id := idOf(body); id != "" && strings.HasPrefix(key, "http/") {
		c := copyOf{key: id, json: true}
		_, sent := o.sent[c]
		return c, sent && bytes.Equal(body, c.body())
	}
	for version := 0; ; version++ { // they are sent in their order
		c := copyOf{key: variant(key), version: version}
		if _, sent := o.sent[c]; !sent {
			return copyOf{}, false
		}
		if bytes.Equal(body, c.body()) {
			return c, true
		}
	}
}
