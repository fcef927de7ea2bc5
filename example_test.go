package indelible_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"indelible"
)

// The asynchronous path: Append returns once the record is on the disk, and
// its delivery follows.
func Example() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	audit, err := indelible.Open(ctx, indelible.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- audit.Run(ctx) }()

	receipt, err := audit.Append(ctx, indelible.Record{ID: "chatcmpl-1", Body: strings.NewReader(`{"model":"gpt"}`)})
	if err != nil {
		log.Fatal(err) // not durable: the caller still has the record
	}
	fmt.Println("record", receipt.Seq, "is on the disk")

	// At the end: Close waits for the delivery and ends Run.
	if err := audit.Close(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-done)
	// Output:
	// record 1 is on the disk
	// <nil>
}

// The synchronous path: Wait returns once the record is in the store.
func ExampleLog_Wait() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	audit, err := indelible.Open(ctx, indelible.Options{Dir: dir, Prefix: "llm"})
	if err != nil {
		log.Fatal(err)
	}
	go audit.Run(ctx)

	began := time.Date(2026, 11, 22, 1, 2, 3, 4000, time.UTC)
	receipt, err := audit.Append(ctx, indelible.Record{ID: "chatcmpl-1", Time: began, Body: strings.NewReader(`{}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := audit.Wait(ctx, receipt); err != nil {
		log.Fatal(err)
	}
	found, _ := filepath.Glob(filepath.Join(dir, "store/llm/*/*"))
	fmt.Println(strings.TrimPrefix(found[0], filepath.Join(dir, "store")+"/"))
	if err := audit.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: llm/2026-11-22/time-01-02-03-000004_chatcmpl-1.json
}

// A streamed call to a model provider: when the program has read the end of the answer, the log has it.
func ExampleLog_Transport() {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range []string{"Hello", ", world"} {
			fmt.Fprintf(w, "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", word)
			w.(http.Flusher).Flush()
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
	}))
	defer provider.Close()

	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	audit, err := indelible.Open(ctx, indelible.Options{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	go audit.Run(ctx)

	client := &http.Client{Transport: audit.Transport(nil)}
	resp, err := client.Post(provider.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"gpt","stream":true}`))
	if err != nil {
		log.Fatal(err)
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text := lines.Text(); strings.HasPrefix(text, "data: {") {
			fmt.Println("the program reads an event")
		}
	}
	resp.Body.Close()

	// Close waits until the records are in the store: the request, and the answer.
	if err := audit.Close(ctx); err != nil {
		log.Fatal(err)
	}
	records, _ := filepath.Glob(filepath.Join(dir, "store/lib/*/*/*.json"))
	for _, name := range records {
		body, _ := os.ReadFile(name)
		var record struct {
			Kind, Transport string
			Derived         struct{ Model, Text string }
		}
		if err := json.Unmarshal(body, &record); err != nil {
			log.Fatal(err)
		}
		if record.Kind == "close" {
			fmt.Println(len(records), "records;", record.Transport+":", record.Derived.Model, "said", record.Derived.Text)
		}
	}
	// Output:
	// the program reads an event
	// the program reads an event
	// 2 records; complete: gpt said Hello, world
}

// WaitProven returns once a signed checkpoint in the store covers the record:
// whoever has log.vkey can verify that it is there, and would see if it were not.
func ExampleLog_WaitProven() {
	dir, err := os.MkdirTemp("", "audit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	audit, err := indelible.Open(ctx, indelible.Options{Dir: dir, Proof: indelible.Proof{Every: time.Second}})
	if err != nil {
		log.Fatal(err)
	}
	go audit.Run(ctx)

	receipt, err := audit.Append(ctx, indelible.Record{ID: "chatcmpl-1", Body: strings.NewReader(`{}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := audit.WaitProven(ctx, receipt); err != nil {
		log.Fatal(err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(dir, "store/_indelible", receipt.Log, "checkpoint"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.HasPrefix(string(checkpoint), receipt.Log+"\n"))
	if err := audit.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: true
}
