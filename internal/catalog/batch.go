package catalog

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"indelible/internal/query"
	"indelible/internal/record"
)

// maxLine bounds a record in a batch file.
const maxLine = 16 << 20

// inBatches finds the records of a name space that hold a record with an id in one of
// their lines: LiteLLM's batch files, "batch_….jsonl". It reads them one after another.
func (c *Catalog) inBatches(ctx context.Context, buckets []string, id string, o query.ListOptions, found func(record.Entry)) (unsearched error) {
	for item, err := range c.o.Records.ListAll(ctx, buckets, o) {
		if err != nil {
			return err
		}
		if name := path.Base(item.Key); !strings.HasPrefix(name, "batch_") || !strings.HasSuffix(name, ".jsonl") {
			continue
		}
		e, ok, err := c.o.Records.BySeq(ctx, item.Seq)
		if item.Seq == 0 || err == nil && !ok {
			e, ok, err = c.o.Records.At(ctx, c.o.Objects.Key(buckets[0], item.Key))
		}
		if err != nil {
			return err
		}
		if !ok {
			continue // removed since it was listed
		}
		holds, long, err := holdsID(e, id)
		if err != nil {
			return err
		}
		if holds {
			found(e)
		} else if long {
			unsearched = errors.Join(unsearched, fmt.Errorf("the record %q has lines of more than %d bytes, which are not searched", item.Key, maxLine))
		}
	}
	return unsearched
}

// holdsID says whether a line of a record's body is a JSON object with that id, and whether lines were too
// long to be looked at.
func holdsID(e record.Entry, id string) (holds, long bool, err error) {
	body, err := e.Open()
	if err != nil {
		return false, false, err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewReader(body)
	for {
		text, whole, err := readLine(lines)
		if err == io.EOF {
			return false, long, nil
		}
		if err != nil {
			return false, long, err
		}
		if !whole {
			long = true
			continue
		}
		var line struct {
			ID     any `json:"id"`
			CallID any `json:"litellm_call_id"`
		}
		if json.Unmarshal(text, &line) == nil && (line.ID == any(id) || line.CallID == any(id)) {
			_, err := io.Copy(io.Discard, lines) // to its end, where it is checked
			return err == nil, long, err
		}
	}
}

// readLine reads a line; it is not whole where it is longer than maxLine. After the last one it fails with io.EOF.
func readLine(r *bufio.Reader) (line []byte, whole bool, err error) {
	whole = true
	for read := false; ; read = true {
		part, err := r.ReadSlice('\n')
		if whole = whole && len(line)+len(part) <= maxLine; whole {
			line = append(line, part...)
		}
		switch {
		case err == bufio.ErrBufferFull:
			continue
		case err == io.EOF && (read || len(part) > 0), err == nil:
			return line, whole, nil
		}
		return nil, false, err
	}
}
