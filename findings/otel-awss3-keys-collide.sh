#!/usr/bin/env bash
# OpenTelemetry Collector contrib 0.158.0, exporter awss3: the only thing that tells the objects of one
# partition (by default a minute) apart is a random number below 900 million, and the upload has no
# condition. Two exports that draw the same number are both reported as delivered, and the second has
# replaced the first. Guess before: "unique portion of the key" means that a key comes once, or that a
# key that is taken is noticed.
# With n objects in a partition n*n/1.8e9 are replaced: at 1,000 exports a second (one object each, as
# without batching) two in each minute, at 100 a second one in every 50 minutes. unique_key_func_name: uuidv7 has
# no such collisions; a partition by the hour has 60 times as many.
#
# This exports 100,000 times into one partition, to a server in the same process that takes every PUT. A
# run without any collision has a probability of 0.4 %.
#
# Seen 2026-11-30, Go 1.26:
#   unique_key_func_name ""       100000 reported as delivered, 100000 PUTs, 5 of them to a key that was taken, 0 with a condition
#   unique_key_func_name "uuidv7" 100000 reported as delivered, 100004 PUTs, 0 of them to a key that was taken, 0 with a condition
set -euo pipefail
pins=$(cd "$(dirname "$0")/../test/compare/collector" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$pins/go.mod" "$pins/go.sum" .
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	metric "go.opentelemetry.io/otel/metric/noop"
	trace "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

const exports = 100_000

type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

func main() {
	ok := true
	for _, unique := range []string{"", "uuidv7"} {
		delivered, puts, objects, conditions, err := run(unique)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Printf("unique_key_func_name %-8q %d reported as delivered, %d PUTs, %d of them to a key that was taken, %d with a condition\n",
			unique, delivered, puts, puts-objects, conditions)
		ok = ok && delivered == exports && conditions == 0 && (puts > objects) == (unique == "")
	}
	if !ok {
		os.Exit(1)
	}
}

func run(unique string) (delivered int64, puts, objects, conditions int, err error) {
	var mu sync.Mutex
	keys := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		puts++
		keys[r.URL.Path] = true
		if r.Header.Get("If-None-Match") != "" {
			conditions++
		}
		w.Header().Set("ETag", `"x"`)
	}))
	defer server.Close()
	factory := awss3exporter.NewFactory()
	config := factory.CreateDefaultConfig().(*awss3exporter.Config)
	config.S3Uploader.S3Bucket, config.S3Uploader.Endpoint, config.S3Uploader.S3ForcePathStyle = "bucket", server.URL, true
	config.S3Uploader.S3PartitionFormat = "one" // so that midnight does not fall into the run
	config.S3Uploader.UniqueKeyFuncName = unique
	config.S3Uploader.RetryMode, config.TimeoutSettings.Timeout = "nop", time.Minute // no second PUT of one export
	ctx := context.Background()
	settings := exporter.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: component.TelemetrySettings{
		Logger: zap.NewNop(), TracerProvider: trace.NewTracerProvider(), MeterProvider: metric.NewMeterProvider()}}
	e, err := factory.CreateLogs(ctx, settings, config)
	if err != nil {
		return 0, 0, 0, 0, err
	}
	if err := e.Start(ctx, host{}); err != nil {
		return 0, 0, 0, 0, err
	}
	logs := plog.NewLogs()
	logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("a record")
	var left, good atomic.Int64
	left.Store(exports)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if e.ConsumeLogs(ctx, logs) == nil {
					good.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return good.Load(), puts, len(keys), conditions, e.Shutdown(ctx)
}
GO
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
GOFLAGS=-mod=mod go run .
