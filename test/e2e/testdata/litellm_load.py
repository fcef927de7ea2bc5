"""Make LLM calls with an unmodified LiteLLM and let it log them to S3.

    litellm_load.py MODE ENDPOINT BUCKET SUCCESSES FAILURES SECONDS GRACE

MODE "async" uses the s3_v2 callback, "sync" the legacy s3 callback (s3_v2 has
no synchronous path). The calls are spread over SECONDS; none leaves this
machine, because LiteLLM answers them itself (mock_response). When all are
answered, GRACE is how many seconds LiteLLM gets to empty its queue before the
process ends, as a deploy would end it. One JSON object goes to stdout.
"""

import asyncio
import json
import os
import sys
import time

os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    AWS_EC2_METADATA_DISABLED="true",
    DEFAULT_S3_FLUSH_INTERVAL_SECONDS="1",
    AWS_ACCESS_KEY_ID=os.environ["S3_KEY"],
    AWS_SECRET_ACCESS_KEY=os.environ["S3_SECRET"],
)

import litellm  # noqa: E402  (reads the environment at import)
import openai  # noqa: E402  (the parent of all LiteLLM errors)

mode, endpoint, bucket = sys.argv[1:4]
successes, failures = int(sys.argv[4]), int(sys.argv[5])
seconds, grace = float(sys.argv[6]), float(sys.argv[7])

litellm.suppress_debug_info = True
litellm.s3_callback_params = {
    "s3_bucket_name": bucket,
    "s3_region_name": "us-east-1",
    "s3_endpoint_url": endpoint,
    "s3_path": f"audit/Team {mode}",
    "s3_aws_access_key_id": os.environ["S3_KEY"],
    "s3_aws_secret_access_key": os.environ["S3_SECRET"],
}
if mode == "async":
    litellm.callbacks = ["s3_v2"]
else:
    litellm.success_callback = ["s3"]
    litellm.failure_callback = ["s3"]


def arguments(i):
    fails = i < failures
    return {
        "model": "openai/fake",
        "api_key": "x",
        "messages": [{"role": "user", "content": f"{mode} call {i} " + "lorem ipsum " * (i % 300)}],
        "mock_response": Exception(f"provider says no to {i}") if fails else f"answer {i} " + "dolor " * (i % 500),
    }


def order():
    """Failures spread evenly among the successes."""
    total = successes + failures
    ids = list(range(failures, total))
    for f in range(failures):
        ids.insert(f * total // max(failures, 1), f)
    return ids


async def run_async():
    answered = 0

    async def one(i):
        nonlocal answered
        try:
            await litellm.acompletion(**arguments(i))
        except openai.APIError:
            pass
        answered += 1

    ids = order()
    start = time.monotonic()
    tasks = []
    for n, i in enumerate(ids):
        await asyncio.sleep(max(0, start + n * seconds / len(ids) - time.monotonic()))
        tasks.append(asyncio.create_task(one(i)))
    await asyncio.gather(*tasks)
    left = await drained()
    return answered, left


def s3_logger():
    from litellm.integrations.s3_v2 import S3Logger

    found = [c for c in litellm.logging_callback_manager._get_all_callbacks() if isinstance(c, S3Logger)]
    return found[0] if found else None


async def drained():
    """Wait up to grace seconds for s3_v2's queue; what is left in it dies with this process."""
    until = time.monotonic() + grace
    quiet = 0
    while time.monotonic() < until:
        logger = s3_logger()
        busy = logger is None or logger.log_queue or logger.flush_lock.locked()
        quiet = 0 if busy else quiet + 1
        if quiet >= 25:  # longer than a flush interval: the log worker has handed everything over
            break
        await asyncio.sleep(0.1)
    logger = s3_logger()
    return len(logger.log_queue) if logger else -1


def run_sync():
    ids = order()
    start = time.monotonic()
    answered = 0
    for n, i in enumerate(ids):
        time.sleep(max(0, start + n * seconds / len(ids) - time.monotonic()))
        try:
            litellm.completion(**arguments(i))
        except openai.APIError:
            pass
        answered += 1
    # The legacy callback runs in LiteLLM's thread pool: let it finish, but no longer than a deploy would.
    from litellm.litellm_core_utils.thread_pool_executor import executor

    until = time.monotonic() + grace
    while executor._work_queue.qsize() and time.monotonic() < until:
        time.sleep(0.1)
    left = executor._work_queue.qsize()
    return answered, left


answered, left = asyncio.run(run_async()) if mode == "async" else run_sync()
print(json.dumps({"mode": mode, "litellm": litellm.__version__ if hasattr(litellm, "__version__") else "", "answered": answered, "left": left}))
sys.stdout.flush()
if left:
    os._exit(0)  # what the queue still holds is lost, as at any restart
