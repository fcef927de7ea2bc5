package testserver

import "context"

// collectorModule is what names the OpenTelemetry Collector's release.
const collectorModule = "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"

// BuildCollector builds the OpenTelemetry Collector of test/compare/collector into the cache,
// and returns its path and its version.
func BuildCollector(ctx context.Context) (binary, version string, err error) {
	return buildCommand(ctx, "test/compare/collector", collectorModule, ".", "collector")
}
