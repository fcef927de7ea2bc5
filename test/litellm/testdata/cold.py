"""cold.py write|read PROVIDER DOOR [KEY]: LiteLLM with s3_v2 as its cold storage. "write" makes a call, waits for its flush and prints its id and
the key under which its record is to be found; "read" is another process, which looks for that key as GET /spend/logs/ui/{request_id} does
for a row without prompts, and prints what it got."""

import asyncio
import json
import sys

import litellm
from litellm.integrations.custom_logger import CustomLogger

what, base, s3 = sys.argv[1:4]


class Seen(CustomLogger):
    payload = None

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        Seen.payload = kwargs["standard_logging_object"]


litellm.cold_storage_custom_logger = "s3_v2"
litellm.callbacks = ["s3_v2", Seen()]
litellm.s3_callback_params = {
    "s3_bucket_name": "default",
    "s3_region_name": "us-east-1",
    "s3_endpoint_url": s3,
    "s3_aws_access_key_id": "any",
    "s3_aws_secret_access_key": "any",
}


async def call(prompt):
    await litellm.acompletion(model="openai/good", api_base=base, api_key="x", messages=[{"role": "user", "content": prompt}])
    for _ in range(100):
        await asyncio.sleep(0.1)
        if Seen.payload:
            break


async def write():
    await call("what was asked")
    await asyncio.sleep(4)  # s3_v2's flush
    print(json.dumps({"id": Seen.payload["id"], "key": Seen.payload["metadata"]["cold_storage_object_key"]}))


async def read(key):
    await call("another, which makes the loggers")
    from litellm.proxy.spend_tracking.cold_storage_handler import ColdStorageHandler
    from litellm.proxy.spend_tracking.spend_management_endpoints import _resolve_request_response_payload

    row = {"messages": "{}", "response": "{}", "proxy_server_request": "{}", "metadata": json.dumps({"cold_storage_object_key": key})}
    shown = await _resolve_request_response_payload(row, cold_storage_handler=ColdStorageHandler())
    payload = await ColdStorageHandler().get_proxy_server_request_from_cold_storage_with_object_key(object_key=key)
    absent = await ColdStorageHandler().get_proxy_server_request_from_cold_storage_with_object_key(object_key=key + "x")
    print(json.dumps({"id": (payload or {}).get("id"), "messages": shown.messages, "response": shown.response, "absent": absent}, default=str))


asyncio.run(write() if what == "write" else read(sys.argv[4]))
