package proof

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
)

// IDFormat is how a producer's ids are written.
type IDFormat struct {
	// Form is "ids" (one a line), "csv" (with a line of names) or "ndjson".
	Form string
	// Column is the column or member that holds the id; "" is the first of
	// request_id, id, call_id, litellm_call_id that is there.
	Column string
	// TimeColumn holds the time; "" is the first of startTime, start_time, time, created_at that is there, or none.
	TimeColumn string
}

// idColumns and timeColumns are the names that are looked for, LiteLLM's SpendLogs first.
var (
	idColumns   = [...]string{"request_id", "id", "call_id", "litellm_call_id"}
	timeColumns = [...]string{"startTime", "start_time", "time", "created_at"}
)

// ReadIDs yields the ids that a file of a producer holds.
func ReadIDs(r io.Reader, f IDFormat) iter.Seq2[KnownID, error] {
	return func(yield func(KnownID, error) bool) {
		var err error
		switch f.Form {
		case "ids":
			err = readLines(r, yield)
		case "csv":
			err = readCSV(r, f, yield)
		case "ndjson":
			err = readNDJSON(r, f, yield)
		default:
			err = fmt.Errorf("read ids: unknown format %q: want ids, csv or ndjson", f.Form)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(KnownID{}, err)
		}
	}
}

// errStopped ends a reading whose consumer has had enough.
var errStopped = errors.New("stopped")

func readLines(r io.Reader, yield func(KnownID, error) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); id != "" && !yield(KnownID{ID: id}, nil) {
			return errStopped
		}
	}
	return lines.Err()
}

func readCSV(r io.Reader, f IDFormat, yield func(KnownID, error) bool) error {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	names, err := rows.Read()
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ids: %w", err)
	}
	names = slices.Clone(names)
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	id, ok := column(names, f.Column, idColumns[:])
	if !ok {
		return fmt.Errorf("read ids: no column %s among %q: name it with --column", wanted(f.Column, idColumns[:]), names)
	}
	at, timed := column(names, f.TimeColumn, timeColumns[:])
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read ids: %w", err)
		}
		k := KnownID{ID: strings.TrimSpace(row[id])}
		if timed {
			k.Time = parseTime(row[at])
		}
		if k.ID != "" && !yield(k, nil) {
			return errStopped
		}
	}
}

func column(names []string, want string, usual []string) (int, bool) {
	if want != "" {
		usual = []string{want}
	}
	for _, name := range usual {
		if i := slices.Index(names, name); i >= 0 {
			return i, true
		}
	}
	return 0, false
}

func wanted(want string, usual []string) string {
	if want != "" {
		return fmt.Sprintf("%q", want)
	}
	return strings.Join(usual, ", ")
}

func readNDJSON(r io.Reader, f IDFormat, yield func(KnownID, error) bool) error {
	values := json.NewDecoder(r)
	for n := 1; ; n++ {
		var row map[string]json.RawMessage
		if err := values.Decode(&row); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read ids: value %d: %w", n, err)
		}
		id, ok := memberText(row, f.Column, idColumns[:])
		if !ok {
			return fmt.Errorf("read ids: value %d has no member %s that is a text: name it with --column", n, wanted(f.Column, idColumns[:]))
		}
		k := KnownID{ID: id}
		if at, ok := memberText(row, f.TimeColumn, timeColumns[:]); ok {
			k.Time = parseTime(at)
		}
		if k.ID != "" && !yield(k, nil) {
			return errStopped
		}
	}
}

func memberText(row map[string]json.RawMessage, want string, usual []string) (string, bool) {
	if want != "" {
		usual = []string{want}
	}
	for _, name := range usual {
		var s string
		if raw, ok := row[name]; ok && json.Unmarshal(raw, &s) == nil {
			return s, true
		}
	}
	return "", false
}

// parseTime reads a time as databases write it; the zero time if it is none. One without a zone is UTC.
func parseTime(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}
