"""Make calls without await in processes that end with os._exit(9) right after the answer.

    exits.py PROCESSES     one line for each answered call: SHAPE CALL-ID
"""

import os
import sys
import uuid

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402  (reads the environment at import)

import indelible_callback  # noqa: E402

litellm.suppress_debug_info = True
litellm.callbacks = [indelible_callback.indelible]
indelible_callback.install()
chat = {"model": "openai/fake", "api_key": "x", "messages": [{"role": "user", "content": "call"}]}

for n in range(int(sys.argv[1])):
    shape = ("chat", "failure", "stream")[n % 3]
    call_id = str(uuid.uuid4())
    if os.fork():
        os.wait()
        print(shape, call_id, flush=True)
        continue
    try:
        answer = litellm.completion(
            mock_response=Exception("no") if shape == "failure" else "an answer in pieces",
            stream=shape == "stream", litellm_call_id=call_id, **chat)
        if shape == "stream":
            for _ in answer:
                pass
    except litellm.InternalServerError:
        pass
    os._exit(9)
