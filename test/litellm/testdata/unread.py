"""An SDK program that takes one chunk of a stream and leaves, as one that has what it needs does; then one that reads to the end."""

import asyncio
import sys

import litellm

base, s3 = sys.argv[1:]
litellm.callbacks = ["s3_v2"]
litellm.s3_callback_params = {
    "s3_bucket_name": "default",
    "s3_region_name": "us-east-1",
    "s3_endpoint_url": s3,
    "s3_aws_access_key_id": "any",
    "s3_aws_secret_access_key": "any",
}


async def main():
    for model, prompt in (("unread", "not read to the end"), ("read", "read to the end")):
        stream = await litellm.acompletion(
            model="openai/" + model, api_base=base, api_key="x", stream=True, messages=[{"role": "user", "content": prompt}]
        )
        async for _ in stream:
            if model == "unread":
                break
        await stream.aclose() if hasattr(stream, "aclose") else None
    await asyncio.sleep(4)  # s3_v2's flush


asyncio.run(main())
