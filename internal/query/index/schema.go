package index

import (
	"fmt"
	"strings"
)

// Version is the schema's. An index of another version is rebuilt.
const Version = 2

// applicationID marks the file as ours: "indx".
const applicationID = 0x696e6478

// lineBits are the bits of a row's number that tell the call in a record of several; the others are its seq.
const (
	lineBits = 20
	maxLines = 1<<lineBits - 1
)

// partBits are the bits of a seq that the names of one part share: 16,384 records. Hashes lie anywhere in the order of a table, so that
// each new one would write a page of its own, wherever in the file; those of one part lie within 3 MB that fit into memory. A name is
// looked up once in each part.
const partBits = 14

// base are the columns of a row that every record has.
var base = [...]string{"time", "size", "door", "source", "bucket", "key", "sha256"}

// extracted are the columns that come out of a record's body, in the order of fields.Fields.All.
var extracted = [...]string{
	"id", "call_id", "trace_id", "parent_id", "provider", "model", "served_model", "model_group", "api_base", "call_type", "stream",
	"status", "error_code", "error_class", "error_message", "finish_reason", "ended_by", "start", "end", "first_token",
	"team", "team_id", "key_alias", "key_hash", "user", "end_user", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning",
	"cost", "tags", "user_agent",
}

// indexed are the columns with an index of their own: those that people filter by and that few rows may share.
var indexed = [...]string{"team", "model", "user", "end_user", "key_alias", "error_code"}

// tagBreak divides the tags of a row.
const tagBreak = "\x1f"

// columns is the list of a row's columns, as SQL.
func columns() string {
	var b strings.Builder
	for i, name := range append(base[:len(base):len(base)], extracted[:]...) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(`"` + name + `"`)
	}
	return b.String()
}

// schema makes an empty index.
//
//	calls   a row for each call: r is the record's seq and the call's line in it
//	names   what a call can be found by: 64 bits of the SHA-256 of each of its ids and its key, in parts (see partBits)
//	days    sums by the day of arrival, for every team, model and status
//	hours   between which rows the records that arrived in an hour lie
//	gaps    seqs that could not be read yet
//	words   full text; it keeps no copy of the text
//	about   one row: whose index this is, up to which seq it is complete, and how many calls the sums count that were removed since
func schema() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE calls (r INTEGER PRIMARY KEY, %s) STRICT;\n", typed())
	for _, name := range indexed {
		fmt.Fprintf(&b, "CREATE INDEX calls_%s ON calls (%q) WHERE %q IS NOT NULL;\n", name, name, name)
	}
	b.WriteString(`
CREATE INDEX calls_failed ON calls (status) WHERE status <> 'success';
CREATE TABLE names (part INTEGER NOT NULL, h INTEGER NOT NULL, r INTEGER NOT NULL, PRIMARY KEY (part, h, r)) STRICT, WITHOUT ROWID;
CREATE TABLE days (day INTEGER NOT NULL, team TEXT NOT NULL, model TEXT NOT NULL, status TEXT NOT NULL,
	calls INTEGER NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost REAL NOT NULL, bytes INTEGER NOT NULL,
	PRIMARY KEY (day, team, model, status)) STRICT, WITHOUT ROWID;
CREATE TABLE hours (hour INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
CREATE TABLE gaps (seq INTEGER PRIMARY KEY) STRICT;
CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), log TEXT NOT NULL, text TEXT NOT NULL, position INTEGER NOT NULL, clean INTEGER NOT NULL,
	forgotten INTEGER NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, tokenize='unicode61 remove_diacritics 0');
`)
	return b.String()
}

// typed is columns with their types.
func typed() string {
	var list []string
	for _, name := range append(base[:len(base):len(base)], extracted[:]...) {
		kind := "TEXT"
		switch name {
		case "time", "size":
			kind = "INTEGER NOT NULL"
		case "start", "end", "first_token", "stream", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning":
			kind = "INTEGER"
		case "cost":
			kind = "REAL"
		case "sha256":
			kind = "BLOB NOT NULL"
		case "key":
			kind = "TEXT NOT NULL"
		}
		list = append(list, fmt.Sprintf("%q %s", name, kind))
	}
	return strings.Join(list, ", ")
}
