"""Exports spans with the real exporter, and prints what it makes of the answer: export.py URL [SPANS [BYTES]]"""
import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SimpleSpanProcessor, SpanExportResult


class Keep(SpanExporter):
    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans += spans
        return SpanExportResult.SUCCESS


url, count, size = sys.argv[1], int((sys.argv[2:] + ["1"])[0]), int((sys.argv[3:] + ["1"])[0])
keep, provider = Keep(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(keep))
tracer = provider.get_tracer("x")
for n in range(count):
    with tracer.start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.input.messages": "m" * size}):
        pass
print(OTLPSpanExporter(endpoint=url).export(keep.spans).name)
