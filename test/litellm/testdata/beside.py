"""Make the same calls twice: logged by s3_v2 alone, then by our callback and s3_v2.

    beside.py ENDPOINT     one line for each call: RUN SHAPE CALL-ID
"""

import asyncio
import os
import sys
import uuid

os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    AWS_EC2_METADATA_DISABLED="true",
    DEFAULT_S3_FLUSH_INTERVAL_SECONDS="1",
)

import litellm  # noqa: E402  (reads the environment at import)

import indelible_callback  # noqa: E402

litellm.suppress_debug_info = True
litellm.s3_callback_params = {
    "s3_bucket_name": "beside",
    "s3_region_name": "us-east-1",
    "s3_endpoint_url": sys.argv[1],
    "s3_aws_access_key_id": "any",
    "s3_aws_secret_access_key": "any",
}
chat = {"model": "openai/gpt-4o-mini", "api_key": "x", "messages": [{"role": "user", "content": "Grüße, \U0001f600 \x00 and more"}]}
router = litellm.Router(model_list=[{"model_name": "routed", "litellm_params": {**chat, "mock_response": "routed answer"}}])
shapes = {
    "chat": lambda **k: litellm.acompletion(mock_response="an answer", **chat, **k),
    "tools": lambda **k: litellm.acompletion(
        mock_response="an answer", tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}], **chat, **k),
    "failure": lambda **k: litellm.acompletion(mock_response=Exception("the provider says no"), **chat, **k),
    "stream": lambda **k: litellm.acompletion(mock_response="an answer in pieces", stream=True, **chat, **k),
    "text": lambda **k: litellm.atext_completion(
        model="openai/gpt-3.5-turbo-instruct", api_key="x", prompt="p", mock_response="a", **k),
    "embedding": lambda **k: litellm.aembedding(
        model="openai/text-embedding-3-small", api_key="x", input="text", mock_response=[0.25, 0.5], **k),
    "router": lambda **k: router.acompletion(model="routed", messages=chat["messages"], **k),
}


async def run(name, callbacks):
    litellm.callbacks = callbacks
    for _ in range(2):
        for shape, call in shapes.items():
            call_id = str(uuid.uuid4())
            try:
                answer = await call(litellm_call_id=call_id, metadata={"tags": ["t1"], "trace": "x"}, user="someone")
                if shape == "stream":
                    async for _chunk in answer:
                        pass
            except litellm.InternalServerError:
                assert shape == "failure"
            print(name, shape, call_id, flush=True)
    for _ in range(100):
        await asyncio.sleep(0.1)
        loggers = [c for c in litellm.logging_callback_manager._get_all_callbacks() if type(c).__name__ == "S3Logger"]
        if loggers and not any(c.log_queue or c.flush_lock.locked() for c in loggers) and _ > 15:
            return


async def main():
    await run("alone", ["s3_v2"])
    await run("beside", [indelible_callback.indelible, "s3_v2"])


asyncio.run(main())
