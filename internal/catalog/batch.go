package catalog

import (
	"bufio"
	"context"
	"encoding/json"
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
func (c *Catalog) inBatches(ctx context.Context, buckets []string, id string, o query.ListOptions, found func(record.Entry)) error {
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
		if err != nil || !ok {
			return err
		}
		holds, err := holdsID(e, id)
		if err != nil {
			return err
		}
		if holds {
			found(e)
		}
	}
	return nil
}

// holdsID says whether a line of a record's body is a JSON object with that id.
func holdsID(e record.Entry, id string) (holds bool, err error) {
	body, err := e.Open()
	if err != nil {
		return false, err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var line struct {
			ID     any `json:"id"`
			CallID any `json:"litellm_call_id"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && (line.ID == any(id) || line.CallID == any(id)) {
			_, err := io.Copy(io.Discard, body) // to its end, where it is checked
			return err == nil, err
		}
	}
	return false, lines.Err()
}
