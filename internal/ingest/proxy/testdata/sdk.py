"""Drives the provider SDKs with nothing but a base URL, and prints what a program gets, one JSON value a call."""
import gc
import json
import os
import sys
import time

import anthropic
import openai
from google import genai
from google.genai import types

base = {name: sys.argv[1].replace("NAME", name) for name in ("openai", "anthropic", "gemini")}
KEY = "sk-MARKED-of-the-sdk"
IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}


def show(name, call):
    try:
        got = call()
    except Exception as e:  # what a program sees of a failure is what is compared
        got = {"error": type(e).__name__, "status": getattr(e, "status_code", getattr(e, "code", None)), "text": str(e)[:500]}
    print(json.dumps([name, got], default=lambda o: o.model_dump(mode="json", exclude_none=True, exclude={"sdk_http_response"}), sort_keys=True), flush=True)


def leave(stream):
    """Reads the first event, and leaves: what comes next finds the call ended."""
    first = next(iter(stream))
    stream.close()
    del stream
    gc.collect()
    time.sleep(0.5)
    return first


o = openai.OpenAI(base_url=base["openai"] + "/v1", api_key=KEY)
chat = o.chat.completions.create
user = [{"role": "user", "content": "héllo \u2028 \U0001F600"}]
show("openai plain", lambda: chat(model="plain", messages=user))
show("openai stream", lambda: list(chat(model="stream", messages=user, stream=True, stream_options={"include_usage": True})))
show("openai tools", lambda: chat(model="tools", messages=user, tools=[{"type": "function", "function": {"name": "w", "parameters": TOOL}}]))
show("openai image", lambda: chat(model="plain", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + IMAGE}}]}]))
show("openai error", lambda: chat(model="error", messages=user))
show("openai retry", lambda: chat(model="retry", messages=user))
show("openai cut", lambda: list(chat(model="cut", messages=user, stream=True)))
show("openai left", lambda: leave(chat(model="left", messages=user, stream=True)))
show("openai responses", lambda: o.responses.create(model="plain", input="x"))
show("openai responses stream", lambda: list(o.responses.create(model="stream", input="x", stream=True)))
show("openai embeddings", lambda: o.embeddings.create(model="plain", input=["a"]))
show("openai file", lambda: o.files.create(file=("a.bin", bytes(range(256)) * 5000), purpose="user_data"))
show("openai models", lambda: o.models.list().to_dict())

a = anthropic.Anthropic(base_url=base["anthropic"], api_key=KEY)
show("anthropic plain", lambda: a.messages.create(model="plain", max_tokens=9, messages=user))
show("anthropic stream", lambda: list(a.messages.create(model="stream", max_tokens=9, messages=user, stream=True)))
show("anthropic tools", lambda: a.messages.create(model="tools", max_tokens=9, messages=user, tools=[{"name": "w", "input_schema": TOOL}]))
show("anthropic image", lambda: a.messages.create(model="plain", max_tokens=9, messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}}]}]))


def final():
    with a.messages.stream(model="stream", max_tokens=9, messages=user) as s:
        return s.get_final_message()


show("anthropic stream helper", final)
show("anthropic error", lambda: a.messages.create(model="error", max_tokens=9, messages=user))
show("anthropic retry", lambda: a.messages.create(model="retry", max_tokens=9, messages=user))
show("anthropic cut", lambda: list(a.messages.create(model="cut", max_tokens=9, messages=user, stream=True)))
show("anthropic left", lambda: leave(a.messages.create(model="left", max_tokens=9, messages=user, stream=True)))

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=base["gemini"]))  # held: its models do not keep it open
g = client.models
show("gemini plain", lambda: g.generate_content(model="plain", contents="héllo"))
show("gemini stream", lambda: list(g.generate_content_stream(model="stream", contents="x")))
show("gemini image", lambda: g.generate_content(model="plain", contents=[types.Part.from_bytes(data=b"\x00\xff", mime_type="image/png"), "x"]))
show("gemini tools", lambda: g.generate_content(model="tools", contents="x", config=types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[types.FunctionDeclaration(name="w", parameters_json_schema=TOOL)])])))
show("gemini retry", lambda: g.generate_content(model="retry", contents="x", config=types.GenerateContentConfig(
    http_options=types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02)))))
show("gemini error", lambda: g.generate_content(model="error", contents="x"))
show("gemini cut", lambda: list(g.generate_content_stream(model="cut", contents="x")))
show("gemini left", lambda: leave(g.generate_content_stream(model="left", contents="x")))
sys.stdout.flush()
os._exit(0)  # google-genai 3.6.1 leaves the stream open, and the interpreter's end collects garbage for minutes
