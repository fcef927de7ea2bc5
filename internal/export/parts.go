package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"indelible/internal/layout"
	"indelible/internal/layout/pack"
	"indelible/internal/record"
	"indelible/internal/store"
)

// Bounds of a part. One ends with the hour of arrival as well: its name says dt and hour, and readers leave parts out by them.
const (
	partBytes   = 64 << 20
	partRecords = 100_000
	maxInline   = 8 << 20 // a longer body is an object beside the Parquet part, as it is beside a pack
)

// State is how far an export has come.
type State struct {
	Seq record.Seq `json:"seq"`
	// Part is the part behind Seq that was decided, and perhaps put; nil: there is none.
	Part *Decided `json:"part,omitempty"`
}

// Decided is a part before it is put: from then on its range stays, whatever happens.
type Decided struct {
	Key    string     `json:"key"`
	Last   record.Seq `json:"last"`
	SHA256 string     `json:"sha256"`
}

// Parts writes records into a store, in parts that each hold a range of them:
// dt=YYYY-MM-DD/hour=H/<log>-<first>-<last>.<ext> below the store's prefix. It is for one goroutine.
type Parts struct {
	Store store.Store
	Base  string // what stands before dt=; "" or ends in a slash
	Log   string
	Form  Form
	At    State
	// Keep makes a state durable; nil: nobody goes on from it.
	Keep func(State) error
	Dir  string // for the part under way; "" is that of temporary files

	MaxBytes, MaxRecords int64 // 0: 64 MiB and 100,000

	open *part
	Put  int // parts that are in the store by this call
}

// part is the part under way.
type part struct {
	Part
	file        *os.File
	sum         hash.Hash
	first, last record.Seq
	hour        string
	n           int64
}

// Resume finds out what became of the part that an earlier call had decided. The caller goes on behind p.At.Seq.
func (p *Parts) Resume(ctx context.Context) error {
	d := p.At.Part
	if d == nil {
		return nil
	}
	there, err := p.is(ctx, d.Key, d.SHA256)
	if err != nil || !there {
		return err
	}
	p.At = State{Seq: d.Last}
	return p.keep()
}

// Add appends the next record.
func (p *Parts) Add(ctx context.Context, item *Item) error {
	hour := hourOf(item.Info.Time)
	if o := p.open; o != nil && (o.hour != hour || p.full() || p.decided() && item.Info.Seq > p.At.Part.Last) {
		if err := p.close(ctx); err != nil {
			return err
		}
	}
	if p.open == nil && p.decided() && item.Info.Seq > p.At.Part.Last {
		p.At.Part = nil // its records are gone meanwhile
	}
	if err := p.beside(ctx, item); err != nil {
		return err
	}
	if p.open == nil {
		if err := p.begin(hour, item.Info.Seq); err != nil {
			return err
		}
	}
	err := p.open.Add(item)
	if errors.Is(err, pack.ErrFull) && p.open.n > 0 { // short once compressed, and yet as long as a part can be
		if err = p.close(ctx); err != nil {
			return err
		}
		if err = p.begin(hour, item.Info.Seq); err == nil {
			err = p.open.Add(item)
		}
	}
	if err != nil {
		return fmt.Errorf("export record %d: %w", item.Info.Seq, err)
	}
	p.open.last = item.Info.Seq
	p.open.n++
	return nil
}

// decided says that the range of the open part was decided by an earlier call, which did not put it.
func (p *Parts) decided() bool { return p.At.Part != nil }

func (p *Parts) full() bool {
	bytes, records := p.MaxBytes, p.MaxRecords
	if bytes == 0 {
		bytes = partBytes
	}
	if records == 0 {
		records = partRecords
	}
	return !p.decided() && (p.open.Size() >= bytes || p.open.n >= records)
}

// Close puts the last part. upto is how far the export has come; what lies behind the last record did not match.
func (p *Parts) Close(ctx context.Context, upto record.Seq) error {
	if p.open != nil {
		if err := p.close(ctx); err != nil {
			return err
		}
	}
	if upto <= p.At.Seq && p.At.Part == nil {
		return nil
	}
	p.At = State{Seq: max(upto, p.At.Seq)}
	return p.keep()
}

// Abandon lets go of the part under way.
func (p *Parts) Abandon() {
	if p.open != nil {
		_ = p.open.file.Close()
		_ = os.Remove(p.open.file.Name())
		p.open = nil
	}
}

func (p *Parts) begin(hour string, first record.Seq) error {
	file, err := os.CreateTemp(p.Dir, "indelible-export-*")
	if err != nil {
		return fmt.Errorf("make a temporary file for a part: %w; make room, or name another directory in TMPDIR", err)
	}
	p.open = &part{file: file, sum: sha256.New(), first: first, hour: hour}
	if p.open.Part, err = p.Form.Begin(io.MultiWriter(file, p.open.sum)); err != nil {
		p.Abandon()
	}
	return err
}

// close decides the open part and puts it.
func (p *Parts) close(ctx context.Context) error {
	defer p.Abandon()
	o := p.open
	if err := o.Close(); err != nil {
		return fmt.Errorf("write a part: %w", err)
	}
	size, err := o.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	digest := record.Digest(o.sum.Sum(nil))
	key := fmt.Sprintf("%s%s%s-%020d-%020d%s", p.Base, o.hour, p.Log, o.first, o.last, p.Form.Ext())
	p.At.Part = &Decided{Key: key, Last: o.last, SHA256: digest.String()}
	// From here on the part's range stays: should this call end now, the next one finds this part or builds it again.
	if err := p.keep(); err != nil {
		return err
	}
	if _, err := o.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	obj := store.Object{
		Key: key, Body: o.file, Size: size, Digest: digest, Header: map[string]string{"content-type": p.Form.ContentType()},
		Meta: map[string]string{layout.MetaLog: p.Log, layout.MetaDigest: digest.String()},
	}
	if err := p.put(ctx, obj); err != nil {
		return err
	}
	p.Put++
	p.At = State{Seq: o.last}
	return p.keep()
}

func (p *Parts) keep() error {
	if p.Keep == nil {
		return nil
	}
	return p.Keep(p.At)
}

// beside puts a body that is too long for a row of a Parquet part, and has the row name it.
func (p *Parts) beside(ctx context.Context, item *Item) error {
	if _, parquet := p.Form.(Parquet); !parquet || len(item.Body) <= maxInline {
		return nil
	}
	key := fmt.Sprintf("%s%s%s-%020d.body", p.Base, hourOf(item.Info.Time), p.Log, item.Info.Seq)
	obj := store.Object{
		Key: key, Body: bytes.NewReader(item.Body), Size: int64(len(item.Body)), Digest: sha256.Sum256(item.Body),
		Header: map[string]string{"content-type": "application/octet-stream"},
		Meta:   map[string]string{layout.MetaLog: p.Log, layout.MetaDigest: item.Info.Digest.String()},
	}
	if err := p.put(ctx, obj); err != nil {
		return err
	}
	item.Object = key
	if len(item.Body) <= pack.MaxBody {
		item.Fields, item.Records = pack.Inside(item.Body)
	}
	item.Body = nil
	return nil
}

// tries is how often what does not answer is asked, in a row.
const tries = 5

// put stores an object, whose name nobody else uses. One that has the same bytes already is it.
func (p *Parts) put(ctx context.Context, o store.Object) error {
	for try := 1; ; try++ {
		_, err := p.Store.Put(ctx, o)
		if err == nil {
			return nil
		}
		if store.ClassOf(err) == store.Exists {
			var there bool
			if there, err = p.is(ctx, o.Key, o.Digest.String()); err == nil && there {
				return nil
			}
			if err == nil {
				err = fmt.Errorf("%s is there already with other bytes: an export of another state wrote it; give another location, or that export's --state", o.Key)
				return err
			}
		}
		if try == tries || ctx.Err() != nil || final(err) {
			return fmt.Errorf("put %s: %w", o.Key, err)
		}
		select {
		case <-time.After(time.Second << (try - 1)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := o.Body.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
}

// final says that the same call again would end the same.
func final(err error) bool {
	switch store.ClassOf(err) {
	case store.Credentials, store.Configuration, store.Poison:
		return true
	}
	return false
}

// is says whether the store has an object with this SHA-256 under the key.
func (p *Parts) is(ctx context.Context, key, sum string) (bool, error) {
	info, err := p.Store.Head(ctx, key, store.GetOptions{})
	switch {
	case store.ClassOf(err) == store.NotFound && err != nil:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for %s: %w", key, err)
	case info.Digest != record.Digest{}:
		return info.Digest.String() == sum, nil
	}
	body, _, err := p.Store.Get(ctx, key, store.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	defer func() { _ = body.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, body); err != nil && !errors.Is(err, store.ErrOtherBytes) {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	return record.Digest(h.Sum(nil)).String() == sum, nil
}

// hourOf is the folder of what arrived then: the hour has no leading zero, as in the names of packs.
func hourOf(at time.Time) string {
	return fmt.Sprintf("%s/hour=%d/", at.UTC().Format("dt=2006-01-02"), at.UTC().Hour())
}
