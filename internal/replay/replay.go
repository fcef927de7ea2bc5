// Package replay sends records of the log again: to LiteLLM, which gives each to
// its callbacks, to an HTTP endpoint, or into another store. It says of each record what became of it.
package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"

	"indelible/internal/fields"
)

// Payload is one JSON value of a record.
type Payload struct {
	Name string // for messages: the record's seq, and its line where it has several
	JSON []byte
}

// Payloads are the JSON values of a record: the record itself, its elements, or its lines.
func Payloads(name string, body []byte) (list []Payload, err error) {
	if json.Valid(body) {
		var elements []json.RawMessage
		if json.Unmarshal(body, &elements) != nil {
			return []Payload{{name, body}}, nil
		}
		for i, e := range elements {
			list = append(list, Payload{fmt.Sprintf("%s#%d", name, i+1), e})
		}
		return list, nil
	}
	n := 0
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if n++; !json.Valid(line) {
			return nil, fmt.Errorf("it is no JSON")
		}
		list = append(list, Payload{fmt.Sprintf("%s#%d", name, n), line})
	}
	if n == 0 {
		return nil, errors.New("it is empty")
	}
	return list, nil
}

// Sink takes payloads.
type Sink interface {
	// Send sends payloads, and returns what is wrong with each that was refused, nil with those that were taken.
	// Its error speaks of all of them: none is known to have been taken, and the same call may be made again.
	Send(ctx context.Context, payloads []Payload) (refused []error, err error)
}

// HTTP is where a Sink sends to.
type HTTP struct {
	URL    string
	Header http.Header
	Client *http.Client // nil: one with Timeout
}

// Timeout bounds one request.
const Timeout = 60 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 4 << 20

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("%d %s", e.status, e.text) }

// refusal says whether an answer speaks of what was sent: the same again would be answered the same.
func (e *statusError) refusal() bool {
	switch e.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func (h *HTTP) post(ctx context.Context, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, h.Header)
	req.Header.Set("Content-Type", "application/json")
	client := h.Client
	if client == nil {
		client = &http.Client{Timeout: Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, &statusError{resp.StatusCode, strings.TrimSpace(string(answer[:min(len(answer), 300)]))}
	}
	return answer, nil
}

// Endpoint is a Sink that gets one POST a payload.
type Endpoint struct{ HTTP }

// Send is Sink's.
func (e *Endpoint) Send(ctx context.Context, payloads []Payload) ([]error, error) {
	refused := make([]error, len(payloads))
	for i, p := range payloads {
		_, err := e.post(ctx, e.URL, p.JSON)
		if status, ok := errors.AsType[*statusError](err); ok && status.refusal() {
			refused[i] = err
		} else if err != nil {
			return nil, fmt.Errorf("send %s: %w", p.Name, err)
		}
	}
	return refused, nil
}

// LiteLLM is a Sink that is a LiteLLM proxy: it gives each payload to all its callbacks, spend logs
// among them. The route is POST /v1/rust_control_plane/logs (BerriAI/litellm #31134), for a key that may administer the proxy.
type LiteLLM struct{ HTTP }

// litellmRecord is one record of a request.
type litellmRecord struct {
	Status  string          `json:"status"`
	Payload json.RawMessage `json:"standard_logging_payload"`
	Error   string          `json:"error,omitempty"`
}

// Send is Sink's.
func (l *LiteLLM) Send(ctx context.Context, payloads []Payload) ([]error, error) {
	records := make([]litellmRecord, len(payloads))
	for i, p := range payloads {
		f := fields.Extract(p.JSON)
		records[i] = litellmRecord{Status: "success", Payload: p.JSON}
		if f.Status != nil && *f.Status == "failure" {
			records[i].Status = "failure"
			if f.ErrorMessage != nil {
				records[i].Error = *f.ErrorMessage
			}
		}
	}
	body, err := json.Marshal(map[string]any{"records": records})
	if err != nil {
		return nil, err
	}
	text, err := l.post(ctx, strings.TrimRight(l.URL, "/")+"/v1/rust_control_plane/logs", body)
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
		return nil, fmt.Errorf("%w: this LiteLLM does not have the route POST /v1/rust_control_plane/logs", err)
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		Processed *int `json:"processed"`
		Failures  []struct {
			Index int    `json:"index"`
			Error string `json:"error"`
		} `json:"failures"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Processed == nil {
		return nil, fmt.Errorf("the answer is not that of LiteLLM's route for logs: %.100q", text)
	}
	refused := make([]error, len(payloads))
	for _, f := range answer.Failures {
		if f.Index < 0 || f.Index >= len(refused) {
			return nil, fmt.Errorf("LiteLLM names record %d of %d", f.Index, len(refused))
		}
		refused[f.Index] = errors.New(f.Error)
	}
	return refused, nil
}
