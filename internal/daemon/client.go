package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Client is a Reader that asks the daemon running on a data directory.
type Client struct{ http *http.Client }

var _ Reader = (*Client)(nil)

// Dial finds the daemon that runs on dataDir. ok is false where none answers.
func Dial(ctx context.Context, dataDir string) (c *Client, ok bool) {
	conn, err := dialSocket(ctx, dataDir)
	if err != nil {
		return nil, false
	}
	_ = conn.Close()
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dataDir) },
	}}}, true
}

// Close lets go of the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Status is Reader's.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.call(ctx, http.MethodGet, "/api/status", nil, &s)
}

// Find is Reader's.
func (c *Client) Find(ctx context.Context, bucket, name string) (row Row, err error) {
	return row, c.call(ctx, http.MethodGet, "/api/record", url.Values{"bucket": {bucket}, "name": {name}}, &row)
}

// Body is Reader's.
func (c *Client) Body(ctx context.Context, bucket, name string) (io.ReadCloser, error) {
	return c.open(ctx, http.MethodGet, "/api/body", url.Values{"bucket": {bucket}, "name": {name}})
}

// List is Reader's.
func (c *Client) List(ctx context.Context, bucket, prefix string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		body, err := c.open(ctx, http.MethodGet, "/api/records", url.Values{"bucket": {bucket}, "prefix": {prefix}})
		if err != nil {
			yield(Row{}, err)
			return
		}
		defer func() { _ = body.Close() }()
		dec := json.NewDecoder(bufio.NewReader(body))
		for {
			var line struct {
				Row
				apiError
			}
			err := dec.Decode(&line)
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && line.Error != "" {
				err = errors.New(line.Error)
			}
			if !yield(line.Row, err) || err != nil {
				return
			}
		}
	}
}

// Redrive is Reader's.
func (c *Client) Redrive(ctx context.Context) (int, error) {
	var r redriven
	err := c.call(ctx, http.MethodPost, "/api/redrive", nil, &r)
	return r.Redriven, err
}

// Rotate is Reader's.
func (c *Client) Rotate(ctx context.Context) (string, error) {
	var r rotated
	err := c.call(ctx, http.MethodPost, "/api/rotate", nil, &r)
	return r.VKey, err
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, into any) error {
	body, err := c.open(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	return json.NewDecoder(body).Decode(into)
}

func (c *Client) open(ctx context.Context, method, path string, query url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://indelible"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var e apiError
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil {
		return nil, fmt.Errorf("ask the daemon: %s", resp.Status)
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%w", ErrNotFound)
	}
	return nil, errors.New(e.Error)
}

// daemonAlive asks whether a daemon runs on dataDir, and which.
func daemonAlive(ctx context.Context, dataDir string) (Running, bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, ok := Dial(ctx, dataDir)
	if !ok {
		return Running{}, false
	}
	_ = c.Close()
	r, _ := ReadRunning(dataDir) // the socket answers; the file only names it
	return r, true
}
