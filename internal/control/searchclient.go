package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"indelible/internal/catalog"
	"indelible/internal/query/index"
	"indelible/internal/record"
)

// flag is a query's value of what is on or off.
func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// Search is Searcher's.
func (c *Client) Search(ctx context.Context, q catalog.Query, yield func(catalog.Hit) bool) (catalog.SearchSummary, error) {
	return c.hits(ctx, "/api/search", url.Values{"expr": q.Expr, "limit": {strconv.Itoa(q.Limit)}, "scan": {flag(q.Scan)}}, yield)
}

// Follow is Searcher's.
func (c *Client) Follow(ctx context.Context, expr []string, after record.Seq, yield func(catalog.Hit) bool) error {
	_, err := c.hits(ctx, "/api/follow", url.Values{"expr": expr, "after": {strconv.FormatUint(uint64(after), 10)}}, yield)
	return err
}

// hits reads lines with calls.
func (c *Client) hits(ctx context.Context, path string, query url.Values, yield func(catalog.Hit) bool) (catalog.SearchSummary, error) {
	resp, err := c.open(ctx, http.MethodGet, path, query)
	if err != nil {
		return catalog.SearchSummary{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var line hitLine
		if err := dec.Decode(&line); err != nil {
			return catalog.SearchSummary{}, cmp.Or(ctx.Err(), fmt.Errorf("ask the daemon: the list ends too early: %w", err))
		}
		if line.Hit == nil {
			return *cmp.Or(line.Summary, &catalog.SearchSummary{}), line.Error.err()
		}
		if !yield(*line.Hit) {
			return catalog.SearchSummary{}, nil
		}
	}
}

// Stats is Searcher's.
func (c *Client) Stats(ctx context.Context, q catalog.StatsQuery) ([]index.Sum, catalog.SearchSummary, error) {
	var a statsAnswer
	err := c.call(ctx, http.MethodGet, "/api/stats", url.Values{"expr": q.Expr, "by": q.By, "scan": {flag(q.Scan)}}, &a)
	return a.Sums, a.Summary, err
}

// Index is Searcher's.
func (c *Client) Index(ctx context.Context) (st catalog.IndexStatus, err error) {
	return st, c.call(ctx, http.MethodGet, "/api/index", nil, &st)
}

// Export is Searcher's.
func (c *Client) Export(ctx context.Context, q catalog.ExportQuery, yield func(catalog.Hit, io.Reader) error) (sum catalog.SearchSummary, err error) {
	resp, err := c.open(ctx, http.MethodGet, "/api/export", url.Values{"expr": q.Expr, "after": {strconv.FormatUint(uint64(q.After), 10)}, "scan": {flag(q.Scan)}, "sent": {flag(q.Sent)}})
	if err != nil {
		return sum, err
	}
	defer func() { _ = resp.Body.Close() }()
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	early := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return cmp.Or(ctx.Err(), fmt.Errorf("ask the daemon: the records end too early: %w", err))
	}
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return sum, early(err)
		}
		var line hitLine
		if err := json.Unmarshal(text, &line); err != nil {
			return sum, early(err)
		}
		if line.Hit == nil {
			return *cmp.Or(line.Summary, &sum), line.Error.err()
		}
		body := &whole{r: in, left: line.Hit.Size}
		if err := yield(*line.Hit, body); err != nil {
			return sum, err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return sum, early(err)
		}
	}
}

// whole reads so many bytes, and fails where there are fewer.
type whole struct {
	r    io.Reader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Rebuild is Operator's.
func (c *Client) Rebuild(ctx context.Context, progress func(done, of record.Seq)) error {
	resp, err := c.open(ctx, http.MethodPost, "/api/rebuild", nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	dec := json.NewDecoder(resp.Body)
	for {
		var line rebuildLine
		if err := dec.Decode(&line); err != nil {
			return cmp.Or(ctx.Err(), errors.Join(errors.New("the daemon ended; the index is rebuilt all the same once it runs again"), err))
		}
		if line.End {
			return line.Error.err()
		}
		progress(line.Done, line.Of)
	}
}
