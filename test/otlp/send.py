"""Makes calls to a mock provider, recorded by one real instrumentation, and exports them by OTLP: send.py KIND PROVIDER OTLP"""
import os
import sys

kind, provider, otlp = sys.argv[1:4]
KEY = "sk-MARKED-of-the-sdk-0123456789"
os.environ.update(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=provider + "/v1", OTEL_EXPORTER_OTLP_ENDPOINT=otlp, NO_PROXY="127.0.0.1",
                  OTEL_SERVICE_NAME="svc-" + kind, OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_METRICS_EXPORTER="none")
TOOL = {"type": "function", "function": {"name": "w", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
USER = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello MARK-" + kind}]


def calls():
    import openai
    o = openai.OpenAI(max_retries=0)
    chat = o.chat.completions.create
    chat(model="plain", messages=USER)
    for _ in chat(model="stream", messages=USER, stream=True, stream_options={"include_usage": True}):
        pass
    chat(model="tools", messages=USER, tools=[TOOL])
    o.responses.create(model="plain", input="respond MARK-" + kind)
    o.embeddings.create(model="embed", input=["a"])
    try:
        chat(model="error", messages=USER)
    except openai.APIStatusError:
        pass
    try:
        for _ in chat(model="cut", messages=USER, stream=True):
            pass
    except openai.APIError:
        pass
    s = chat(model="left", messages=USER, stream=True)
    next(iter(s))
    s.close()


def provide(logs=False):
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    p = TracerProvider()
    p.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(p)
    if logs:
        from opentelemetry._logs import set_logger_provider
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        l = LoggerProvider()
        l.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        set_logger_provider(l)
    return p


if kind == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument(tracer_provider=provide())
    calls()
elif kind == "openllmetry":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    provide()
    OpenAIInstrumentor().instrument()
    calls()
elif kind == "genai":
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_AND_EVENT"
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    provide(logs=True)
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()
    calls()
elif kind == "logfire":
    import logfire
    logfire.configure(send_to_logfire=False, console=False)
    logfire.instrument_openai()
    calls()
elif kind == "pydantic":
    provide()
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    Agent.instrument_all()
    agent = Agent(OpenAIChatModel("tools"), instructions="be brief")

    @agent.tool_plain
    def w(city: str) -> str:
        return "rain in " + city

    print(agent.run_sync("hello MARK-pydantic").output)
elif kind == "litellm":
    import asyncio
    import litellm
    litellm.callbacks = ["otel"]
    os.environ["OTEL_EXPORTER"] = "otlp_http"
    os.environ["OTEL_ENDPOINT"] = otlp + "/v1/traces"

    async def main():
        await litellm.acompletion(model="openai/plain", messages=USER, metadata={"user_api_key_alias": "alias-1"})
        s = await litellm.acompletion(model="openai/stream", messages=USER, stream=True, stream_options={"include_usage": True})
        async for _ in s:
            pass
        try:
            await litellm.acompletion(model="openai/error", messages=USER, max_retries=0)
        except Exception:
            pass
        try:
            async for _ in await litellm.acompletion(model="openai/cut", messages=USER, stream=True):
                pass
        except Exception:
            pass
        async for _ in await litellm.acompletion(model="openai/left", messages=USER, stream=True):
            break
        await asyncio.sleep(1)  # its callbacks run beside
    asyncio.run(main())
else:
    sys.exit("unknown: " + kind)

from opentelemetry import trace
from opentelemetry._logs import get_logger_provider
for p in (trace.get_tracer_provider(), get_logger_provider()):
    if hasattr(p, "force_flush"):
        p.force_flush()
    if hasattr(p, "shutdown"):
        p.shutdown()
