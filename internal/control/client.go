package control

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"indelible/internal/catalog"
	"indelible/internal/engine"
	"indelible/internal/record"
)

// Client is a Service that asks the daemon running on a data directory.
type Client struct{ http *http.Client }

var _ Service = (*Client)(nil)

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
	ctx, cancel := context.WithTimeoutCause(ctx, statusPatience, errSilent)
	defer cancel()
	err = c.call(ctx, http.MethodGet, "/api/status", nil, &s)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	return s, err
}

// statusPatience bounds how long a status waits for the daemon: it answers from memory.
const statusPatience = 10 * time.Second

var errSilent = fmt.Errorf("the daemon holds its socket open and has said nothing for %s: it is stopped (kill -CONT lets it go on) or hangs", statusPatience)

func queryOf(ref catalog.Ref) url.Values {
	return url.Values{"kind": {string(ref.Kind)}, "name": {ref.Name}, "bucket": {ref.Bucket}}
}

// Find is Reader's.
func (c *Client) Find(ctx context.Context, ref catalog.Ref) (f catalog.Found, err error) {
	return f, c.call(ctx, http.MethodGet, "/api/record", queryOf(ref), &f)
}

// Open is Reader's.
func (c *Client) Open(ctx context.Context, ref catalog.Ref) (f catalog.Found, body io.ReadCloser, err error) {
	resp, err := c.open(ctx, http.MethodGet, "/api/body", queryOf(ref))
	if err != nil {
		return f, nil, err
	}
	if err := json.Unmarshal([]byte(resp.Header.Get(foundHeader)), &f); err != nil {
		return f, nil, errors.Join(fmt.Errorf("ask the daemon: %w", err), resp.Body.Close())
	}
	return f, resp.Body, nil
}

// List is Reader's.
func (c *Client) List(ctx context.Context, o catalog.ListOptions, yield func(catalog.Row) bool) (catalog.Summary, error) {
	values := url.Values{"bucket": {o.Bucket}, "prefix": {o.Prefix}, "limit": {strconv.Itoa(o.Limit)}, "state": {string(o.State)}}
	for name, at := range map[string]time.Time{"since": o.Since, "until": o.Until} {
		if !at.IsZero() {
			values.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	resp, err := c.open(ctx, http.MethodGet, "/api/records", values)
	if err != nil {
		return catalog.Summary{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	dec := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var line listLine
		if err := dec.Decode(&line); err != nil {
			return catalog.Summary{}, fmt.Errorf("ask the daemon: the list ends too early: %w", err)
		}
		if line.Row == nil {
			return *cmp.Or(line.Summary, &catalog.Summary{}), line.Error.err()
		}
		if !yield(*line.Row) {
			return catalog.Summary{}, nil
		}
	}
}

// Redrive is Operator's.
func (c *Client) Redrive(ctx context.Context) (int, error) {
	var r redriven
	err := c.call(ctx, http.MethodPost, "/api/redrive", nil, &r)
	return r.Redriven, err
}

// Expire is Operator's.
func (c *Client) Expire(ctx context.Context, dry bool, progress func(done, of record.Seq)) (x engine.Expired, err error) {
	q := url.Values{}
	if dry {
		q.Set("dry", "1")
	}
	resp, err := c.open(ctx, http.MethodPost, "/api/expire", q)
	if err != nil {
		return x, err
	}
	defer func() { _ = resp.Body.Close() }()
	dec := json.NewDecoder(resp.Body)
	for {
		var line expireLine
		if err := dec.Decode(&line); err != nil {
			return x, cmp.Or(ctx.Err(), fmt.Errorf("the daemon ended; once it runs again, \"indelible expire\" finishes the removal: %w", err))
		}
		if line.Expired != nil {
			return *line.Expired, line.Error.err()
		}
		progress(line.Done, line.Of)
	}
}

// Rotate is Operator's.
func (c *Client) Rotate(ctx context.Context) (string, error) {
	var r rotated
	err := c.call(ctx, http.MethodPost, "/api/rotate", nil, &r)
	return r.VKey, err
}

func (c *Client) call(ctx context.Context, method, path string, query url.Values, into any) error {
	resp, err := c.open(ctx, method, path, query)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(into)
}

func (c *Client) open(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://indelible"+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	var e apiError
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&e); err != nil {
		return nil, fmt.Errorf("ask the daemon: %s", resp.Status)
	}
	return nil, e.err()
}

// Alive asks whether a daemon runs on dataDir, and which.
func Alive(ctx context.Context, dataDir string) (Running, bool) {
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
