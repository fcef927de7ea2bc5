package pack

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"indelible/internal/fields"
	"indelible/internal/record"
)

// DefaultLevel is the zstd level where Options names none.
const DefaultLevel = 3

// Sizes that shape a pack; docs/format/pack.md says what they cost and save.
const (
	groupBytes = 8 << 20   // a row group is closed when its rows hold as much
	groupRows  = 4096      // or when it has as many
	maxGroups  = 256       // of a pack: some 2 GiB before compression, with a footer that any reader can take
	pageBytes  = 512 << 10 // of a page, before compression
	batchBytes = 32 << 10  // rows of small bodies are handed to the library together
	batchRows  = 16
)

// Options of a Writer.
type Options struct {
	Log   string // the log's name; must be UTF-8
	Level int    // zstd, 1 to 22; 0 is DefaultLevel
}

// Summary is what a closed pack holds.
type Summary struct {
	First, Last record.Seq
	Count       int64
}

// Progress is how far a pack has grown.
type Progress struct {
	Rows       int64
	Body       int64 // bytes of the bodies in it
	Compressed int64 // bytes of the file, footer not included; an upper bound for what is still in memory
}

// Writer writes one pack. It is for one goroutine. It holds one row group in memory, about
// 8 MiB before compression and at most one body more, whatever the pack's size. It syncs nothing: the
// file is the caller's. After an error it gives the same error for ever, and the
// bytes written so far are no pack.
type Writer struct {
	log string
	pw  *parquet.GenericWriter[columns]

	batch []columns // rows that the library has not got yet; their bodies lie in arena
	arena []byte

	group  struct{ bytes, rows int64 } // of the open row group, batch included
	groups int                         // closed ones
	body   int64
	sum    Summary
	err    error
}

// NewWriter returns a Writer of a pack to w, which gets the bytes in order. Nothing is written before the first row group
// is closed. The error is about the options.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	if o.Level == 0 {
		o.Level = DefaultLevel
	}
	if o.Level < 1 || o.Level > 22 {
		return nil, fmt.Errorf("open pack: zstd level %d is not one of 1 to 22", o.Level)
	}
	pages, err := newCodec(o.Level)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	return &Writer{log: o.Log, pw: newParquet(w, o.Log, pages)}, nil
}

// newParquet is the library's writer, told what the format asks for.
func newParquet(w io.Writer, log string, pages *codec) *parquet.GenericWriter[columns] {
	return parquet.NewGenericWriter[columns](w, format1(log, pages)...)
}

// format1 is the format as options of the library. Texts without a tag are DELTA_LENGTH_BYTE_ARRAY, its default: their lengths stand together, and digests
// and ids compress to what they are worth.
func format1(log string, pages *codec) []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.CreatedBy("indelible", Version, "parquet-go"),
		parquet.KeyValueMetadata(metaVersion, Version),
		parquet.KeyValueMetadata(metaLog, log),
		parquet.Compression(pages),
		parquet.DataPageVersion(2),
		parquet.PageBufferSize(pageBytes),
		parquet.WriteBufferSize(1 << 20),
		parquet.DictionaryMaxBytes(1 << 20),
		parquet.DefaultEncodingFor(parquet.Int64, &parquet.DeltaBinaryPacked),
		parquet.DeferBloomFiltersWithBuffers(parquet.NewBufferPool()),
	}
	for _, name := range plainText {
		// The one mends the footer, the other the page headers.
		options = append(options, parquet.SkipPageBounds(name), parquet.SkipPageStatistics(name))
	}
	var blooms []parquet.BloomFilterColumn
	for _, name := range bloomColumns {
		blooms = append(blooms, parquet.SplitBlockFilter(bloomBits, name))
	}
	return append(options, parquet.BloomFilters(blooms...))
}

// bloomBits is how many bits a bloom filter has for each value: about 1 ‰ false positives, each of which costs
// a reader the columns of one more row group. Ten bits make 1 %, a quarter of all lookups in a pack of 28.
const bloomBits = 16

// Add appends a record, whose seq is greater than that of the one before. It computes r.Fields and
// r.Records from r.Body unless r.Object is set. r and its body are the caller's again when Add returns.
// ErrTooLarge and ErrFull leave the Writer as it was.
func (w *Writer) Add(r *Row) (err error) {
	defer w.guard("add row", &err)
	if w.err != nil {
		return w.err
	}
	switch {
	case len(r.Body) > MaxBody:
		return fmt.Errorf("add record %d of %d bytes: %w", r.Info.Seq, len(r.Body), ErrTooLarge)
	case w.groups == maxGroups:
		return fmt.Errorf("add record %d: %w", r.Info.Seq, ErrFull)
	case r.Info.Seq <= w.sum.Last:
		return fmt.Errorf("add record %d: it does not come after %d", r.Info.Seq, w.sum.Last)
	case r.Object == "" && int64(len(r.Body)) != r.Info.Size:
		return fmt.Errorf("add record %d: the body has %d bytes, not %d", r.Info.Seq, len(r.Body), r.Info.Size)
	case r.Object != "" && r.Body != nil:
		return fmt.Errorf("add record %d: it has a body and names an object", r.Info.Seq)
	}
	if r.Object == "" {
		r.Fields, r.Records = Inside(r.Body)
	}
	var c columns
	if err := c.set(w.log, r); err != nil {
		return fmt.Errorf("add record %d: %w", r.Info.Seq, err)
	}
	if err := w.add(c); err != nil {
		return err
	}
	if w.sum.Count == 0 {
		w.sum.First = r.Info.Seq
	}
	w.sum.Last = r.Info.Seq
	w.sum.Count++
	w.body += int64(len(r.Body))
	return nil
}

// Inside is the fields of a body that holds one record, and how many it holds: Row.Fields and Row.Records.
func Inside(body []byte) (one fields.Fields, n int) {
	for f := range fields.Each(body) {
		if n++; n == 1 {
			one = f
		}
	}
	if n > 1 {
		one = fields.Fields{}
	}
	return one, n
}

// add puts a row into the batch, or hands it over where its body is long.
func (w *Writer) add(c columns) error {
	if len(c.Body) > batchBytes {
		if err := w.handOver(); err != nil {
			return err
		}
		w.batch = append(w.batch, c)
		if err := w.handOver(); err != nil {
			return err
		}
	} else {
		if c.Body != nil {
			from := len(w.arena)
			w.arena = append(w.arena, c.Body...)
			c.Body = w.arena[from:len(w.arena):len(w.arena)]
		}
		w.batch = append(w.batch, c)
		if len(w.arena) >= batchBytes || len(w.batch) >= batchRows {
			if err := w.handOver(); err != nil {
				return err
			}
		}
	}
	w.group.rows++
	w.group.bytes += c.bytes()
	if w.group.bytes < groupBytes && w.group.rows < groupRows {
		return nil
	}
	if err := w.handOver(); err != nil {
		return err
	}
	w.group.bytes, w.group.rows = 0, 0
	w.groups++
	return w.pw.Flush()
}

// handOver gives the batch to the library, which copies it.
func (w *Writer) handOver() error {
	_, err := w.pw.Write(w.batch)
	clear(w.batch)
	w.batch, w.arena = w.batch[:0], w.arena[:0]
	return err
}

// bytes is about what the row takes before compression. A text that many rows share counts in each.
func (c *columns) bytes() int64 {
	n := len(c.Body) + len(c.Door) + len(c.Source) + len(c.Bucket) + len(c.Key) + 2*hexDigest + 20*8
	for _, s := range [...]*string{c.SentKey, c.ContentType, c.Headers, c.ID, c.CallID, c.TraceID, c.ParentID, c.Provider, c.Model, c.ServedModel, c.ModelGroup, c.APIBase, c.CallType,
		c.Status, c.ErrorCode, c.ErrorClass, c.ErrorMessage, c.FinishReason, c.EndedBy, c.Team, c.TeamID, c.KeyAlias, c.KeyHash, c.User, c.EndUser, c.UserAgent, c.Extra} {
		if s != nil {
			n += len(*s)
		}
	}
	for _, tag := range c.Tags {
		n += len(tag)
	}
	return int64(n)
}

const hexDigest = 2 * len(record.Digest{})

// Progress is how far the pack has grown: when to close it.
func (w *Writer) Progress() Progress {
	return Progress{Rows: w.sum.Count, Body: w.body, Compressed: w.pw.Size() + int64(len(w.arena))}
}

// Close writes what is left and the footer. It does not close the io.Writer. A pack without a row
// is an error.
func (w *Writer) Close() (sum Summary, err error) {
	defer w.guard("close pack", &err)
	if w.err != nil {
		return Summary{}, w.err
	}
	if w.sum.Count == 0 {
		return Summary{}, errors.New("it has no row")
	}
	if err := w.handOver(); err != nil {
		return Summary{}, err
	}
	if err := w.pw.Close(); err != nil {
		return Summary{}, err
	}
	w.err = errors.New("the pack is closed")
	return w.sum, nil
}

// guard makes a panic of the library an error, and keeps the first error.
func (w *Writer) guard(op string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the Parquet library panicked: %v", p)
	}
	if *err == nil {
		return
	}
	if w.err == nil && !errors.Is(*err, ErrTooLarge) && !errors.Is(*err, ErrFull) {
		w.err = fmt.Errorf("%s: %w", op, *err)
		*err = w.err
	}
}
