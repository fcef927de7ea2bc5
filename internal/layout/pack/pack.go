// Package pack writes and reads packs: Parquet files that hold one record a row,
// columns for what people filter by and the record's own bytes. docs/format/pack.md
// describes them.
package pack

import (
	"errors"
	"time"

	"indelible/internal/fields"
	"indelible/internal/record"
)

// Version is the version of the format, kept in the file's metadata under metaVersion.
const Version = "1"

// Keys of the file's metadata.
const (
	metaVersion = "indelible.pack"
	metaLog     = "indelible.log"
)

// MaxBody is the longest body that a row can hold, in bytes. A longer one has
// to be an object of its own, which the row names.
const MaxBody = 32 << 20

// Errors that a caller decides on, by errors.Is.
var (
	// ErrForeign: these bytes are no pack: no Parquet, or Parquet with other columns,
	// or written by a program that is none of ours. Nothing says that it was one.
	ErrForeign = errors.New("not a pack")
	// ErrDamaged: this is a pack whose bytes are not those that were written. The
	// error says where. An error of the io.ReaderAt is never one of these.
	ErrDamaged = errors.New("damaged pack")
	// ErrNotFound: the pack has no such row.
	ErrNotFound = errors.New("no such row")
	// ErrTooLarge: the body is longer than a row can hold; it has to be an object of its own.
	ErrTooLarge = errors.New("body is too large for a row")
	// ErrFull: the pack has as many row groups as one may have; close it and begin another.
	ErrFull = errors.New("pack is full")
)

// Row is one record. From a row alone follow the record's Info, exactly as it was
// added, and so its leaf in the proof.
type Row struct {
	Info record.Info

	Key   string        // as stored; Info.Key is the one that was sent
	Attrs record.Digest // store.AttrsDigest of what the record's object would show

	// Body is the record's bytes. It is nil if Object is set, and in rows that Heads gave;
	// that of an empty record is empty or nil.
	Body []byte
	// Object is the key, as stored, of the object that holds a body too large for
	// a row; "" if the row holds it. ObjectVersion is its version where the bucket has versions.
	Object        string
	ObjectVersion string

	// Fields is what the body says of itself. Writer.Add computes them from Body; where Object is
	// set it takes those given here.
	Fields fields.Fields
	// Records is how many records the body holds: 0 if it is no JSON object, more than 1
	// for a batch, whose Fields are empty. Add computes it as it computes Fields.
	Records int
}

// Columns with a bloom filter: Reader.Find looks rows up by them.
const (
	ColumnID      = "id"
	ColumnCallID  = "call_id"
	ColumnTraceID = "trace_id"
	ColumnKey     = "key" // as stored
)

// bloomColumns are the columns with a bloom filter.
var bloomColumns = [...]string{ColumnID, ColumnCallID, ColumnTraceID, ColumnKey}

// columns is a row as it lies in the file. The order and the types are the format:
// a column that is added later is an error in some readers and silent loss in others,
// so that what comes later goes into extra.
type columns struct {
	Log         string    `parquet:"log,dict"`
	Seq         int64     `parquet:"seq,delta"`
	Time        time.Time `parquet:"time,timestamp(microsecond:utc),delta"`
	TimeNS      int64     `parquet:"time_ns,delta"`
	Door        string    `parquet:"door,dict"`
	Source      string    `parquet:"source,dict"`
	Bucket      string    `parquet:"bucket,dict"`
	Key         string    `parquet:"key"`
	SentKey     *string   `parquet:"sent_key"`
	Size        int64     `parquet:"size,delta"`
	SHA256      string    `parquet:"sha256"`
	AttrsSHA256 string    `parquet:"attrs_sha256,dict"`
	ContentType *string   `parquet:"content_type,dict"`
	Headers     *string   `parquet:"headers"`

	ID              *string    `parquet:"id"`
	CallID          *string    `parquet:"call_id"`
	TraceID         *string    `parquet:"trace_id"`
	ParentID        *string    `parquet:"parent_id"`
	Provider        *string    `parquet:"provider,dict"`
	Model           *string    `parquet:"model,dict"`
	ServedModel     *string    `parquet:"served_model,dict"`
	ModelGroup      *string    `parquet:"model_group,dict"`
	APIBase         *string    `parquet:"api_base,dict"`
	CallType        *string    `parquet:"call_type,dict"`
	Stream          *bool      `parquet:"stream"`
	Status          *string    `parquet:"status,dict"`
	ErrorCode       *string    `parquet:"error_code,dict"`
	ErrorClass      *string    `parquet:"error_class,dict"`
	ErrorMessage    *string    `parquet:"error_message"`
	FinishReason    *string    `parquet:"finish_reason,dict"`
	EndedBy         *string    `parquet:"ended_by,dict"`
	Start           *time.Time `parquet:"start,timestamp(microsecond:utc)"`
	End             *time.Time `parquet:"end,timestamp(microsecond:utc)"`
	FirstToken      *time.Time `parquet:"first_token,timestamp(microsecond:utc)"`
	Team            *string    `parquet:"team,dict"`
	TeamID          *string    `parquet:"team_id,dict"`
	KeyAlias        *string    `parquet:"key_alias,dict"`
	KeyHash         *string    `parquet:"key_hash,dict"`
	User            *string    `parquet:"user,dict"`
	EndUser         *string    `parquet:"end_user,dict"`
	TokensIn        *int64     `parquet:"tokens_in"`
	TokensOut       *int64     `parquet:"tokens_out"`
	TokensCached    *int64     `parquet:"tokens_cached"`
	TokensReasoning *int64     `parquet:"tokens_reasoning"`
	Cost            *float64   `parquet:"cost"`
	Tags            []string   `parquet:"tags,list,optional"`
	UserAgent       *string    `parquet:"user_agent,dict"`

	Extra *string `parquet:"extra"`
	Body  []byte  `parquet:"body,optional,plain"`
}

// plainText are the columns without statistics: their values are long or
// random, and a page header and the footer would hold whole ones, uncompressed.
var plainText = [...]string{"sha256", "attrs_sha256", "headers", "error_message", "extra", "body"}
