"""Log calls through LiteLLM's own generic_api callback, as it is.

    generic_api.py TOKEN FORM=URL...
    generic_api.py keys

FORM is json_array, ndjson or single. For every call one line goes to
stdout: the key that s3_v2 gives its payload, and the payload as s3_v2 writes
it. With "keys", the same for made-up payloads that are sent to nobody.
"""

import asyncio
import json
import os
import sys
from datetime import datetime

token, *forms = sys.argv[1:]
forms = dict(form.split("=", 1) for form in forms)
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402  (reads the environment at import)
import openai  # noqa: E402
from litellm.integrations.custom_logger import CustomLogger  # noqa: E402
from litellm.integrations.generic_api.generic_api_callback import GenericAPILogger  # noqa: E402
from litellm.integrations.s3_v2 import S3Logger  # noqa: E402
from litellm.litellm_core_utils.safe_json_dumps import safe_dumps  # noqa: E402

litellm.suppress_debug_info = True


def say(s3, start_time, payload, **more):
    element = s3.create_s3_batch_logging_element(start_time, payload)
    print(json.dumps({"key": element.s3_object_key, "body": safe_dumps(element.payload), **more}), flush=True)


class Witness(CustomLogger):
    """Says what s3_v2 would have done with every event."""

    def __init__(self, s3, form):
        super().__init__()
        self.s3 = s3
        self.form = form
        self.seen = 0

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.seen += 1
        say(self.s3, start_time, kwargs["standard_logging_object"], form=self.form)

    async_log_failure_event = async_log_success_event


def s3_v2(**params):
    litellm.s3_callback_params = {
        "s3_bucket_name": "audit",
        "s3_region_name": "us-east-1",
        "s3_aws_access_key_id": "x",
        "s3_aws_secret_access_key": "y",
        **params,
    }
    return S3Logger()


async def call(i):
    kind = ("succeeds", "fails", "streams")[i % 3]
    arguments = {
        "model": "openai/fake",
        "api_key": "x",
        "messages": [{"role": "user", "content": f'call {i} that {kind}: äöü \U0001f600 "quoted" ]}}'}],
        "mock_response": Exception(f"no to {i}") if kind == "fails" else f"answer {i}",
        "metadata": {"user_api_key_team_alias": "Team A/b", "user_api_key_alias": "key: 1"},
    }
    try:
        answer = await litellm.acompletion(stream=kind == "streams", **arguments)
        if kind == "streams":
            async for _ in answer:
                pass
    except openai.APIError:
        pass


async def log(form, url):
    s3 = s3_v2(s3_path="logs//", s3_use_team_prefix=True, s3_use_key_prefix=True, s3_partition_granularity="hour")
    witness = Witness(s3, form)
    logger = GenericAPILogger(endpoint=url, headers={"Authorization": f"Bearer {token}"}, log_format=form)
    litellm.logging_callback_manager._reset_all_callbacks()
    litellm.callbacks = [logger, witness]
    calls = 12
    await asyncio.gather(*(call(i) for i in range(calls)))
    for _ in range(600):
        if witness.seen == calls and len(logger.log_queue) == calls:
            break
        await asyncio.sleep(0.05)
    await logger.flush_queue()


async def main():
    for form, url in forms.items():
        await log(form, url)


async def made_up():
    """Keys at their edges: what a payload says is not what was sent by anybody."""
    for n, (params, team, key, ident, start) in enumerate(
        [
            ({}, None, None, "plain", 1764000000.0),
            ({}, "t", "k", "a/b:c", 1764000000.000001),
            ({"s3_path": "p"}, "t", "k", "x" * 300, 1764000000.999999),
            ({"s3_use_team_prefix": True}, "team/" * 180, "k", "y" * 300, 1764000000.5),
            ({"s3_use_team_prefix": True}, "té" * 500, "k", "z", 1764000000.123456),
            ({"s3_use_key_prefix": True, "s3_path": "/"}, "t", "ключ " * 300, "ü" * 200, 1764000000.1),
            ({"s3_use_team_prefix": True, "s3_use_key_prefix": True}, "", None, "", 0.000001),
            ({"s3_partition_granularity": "hour", "s3_path": "a/b///"}, "t", "k", "é" * 122 + "x", 4000000000.654321),
            ({"s3_path": "q" * 960}, "t", "k", "w", 1764000000.25),
        ]
    ):
        start_time = datetime.fromtimestamp(start)
        payload = {
            "id": ident,
            "call_type": "acompletion",
            "startTime": start_time.timestamp(),
            "metadata": {"user_api_key_team_alias": team, "user_api_key_alias": key},
        }
        s3 = s3_v2(**params)
        say(s3, start_time, payload, params=params)


asyncio.run(main() if forms else made_up())
sys.stdout.flush()
os._exit(0)  # LiteLLM's periodic flushes would go on for ever
