package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPayloads(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1}`:            `7:{"a":1}`,
		"{\n\"a\": 1}\n":     "7:{\n\"a\": 1}\n",
		`[{"a":1},2]`:        `7#1:{"a":1} 7#2:2`,
		"{\"a\":1}\n\n[2]\n": `7#1:{"a":1} 7#2:[2]`,
		"{}\nno":             "error: it is no JSON",
		"":                   "error: it is empty",
	} {
		list, err := Payloads("7", []byte(body))
		var got []string
		for _, p := range list {
			got = append(got, p.Name+":"+string(p.JSON))
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = "error: " + err.Error()
		}
		if text != want {
			t.Errorf("%q: %q, want %q", body, text, want)
		}
	}
}

// proxy answers as LiteLLM's route does, and refuses payloads with "bad" in them.
func proxy(t *testing.T, w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/rust_control_plane/logs" || r.Header.Get("Authorization") != "Bearer sk-1" {
		http.Error(w, "no", http.StatusNotFound)
		return
	}
	var in struct {
		Records []struct {
			Status  string          `json:"status"`
			Payload json.RawMessage `json:"standard_logging_payload"`
			Error   string          `json:"error"`
		} `json:"records"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		t.Error(err)
	}
	var failures []map[string]any
	for i, rec := range in.Records {
		if strings.Contains(string(rec.Payload), "bad") {
			failures = append(failures, map[string]any{"index": i, "error": rec.Status + " " + rec.Error})
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"processed": len(in.Records) - len(failures), "failed": len(failures), "failures": failures})
}

func TestLiteLLM(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxy(t, w, r) }))
	defer server.Close()
	l := &LiteLLM{HTTP{URL: server.URL + "/", Header: http.Header{"Authorization": {"Bearer sk-1"}}}}
	refused, err := l.Send(t.Context(), []Payload{{"1", []byte(`{"id":"a","status":"success"}`)}, {"2", []byte(`{"id":"bad","status":"failure","error_str":"why"}`)}})
	if err != nil || fmt.Sprint(refused) != "[<nil> failure why]" {
		t.Errorf("%v, %v", refused, err)
	}
	l.Header = nil
	if _, err := l.Send(t.Context(), []Payload{{"1", []byte(`{}`)}}); err == nil || !strings.Contains(err.Error(), "does not have the route") {
		t.Errorf("%v", err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>welcome") }))
	defer other.Close()
	l.URL = other.URL
	if _, err := l.Send(t.Context(), []Payload{{"1", []byte(`{}`)}}); err == nil || !strings.Contains(err.Error(), "is not that of LiteLLM") {
		t.Errorf("a page that answers 200 is taken for LiteLLM: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(b), "bad"):
			http.Error(w, "bad one", http.StatusBadRequest)
		case strings.Contains(string(b), "later"):
			http.Error(w, "later", http.StatusServiceUnavailable)
		case strings.Contains(string(b), "moved"):
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			got = append(got, string(b))
		}
	}))
	defer server.Close()
	e := &Endpoint{HTTP{URL: server.URL}}
	refused, err := e.Send(t.Context(), []Payload{{"1", []byte(`1`)}, {"2", []byte(`"bad"`)}, {"3", []byte(`3`)}})
	if err != nil || fmt.Sprint(refused) != "[<nil> 400 bad one <nil>]" || strings.Join(got, " ") != "1 3" {
		t.Errorf("%v, %v, %v", refused, err, got)
	}
	for _, text := range []string{`"later"`, `"moved"`} { // a redirect is no delivery
		if _, err := e.Send(t.Context(), []Payload{{"4", []byte(text)}}); err == nil || !strings.Contains(err.Error(), "send 4: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
