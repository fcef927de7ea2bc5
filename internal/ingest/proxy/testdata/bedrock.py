"""Two calls to Bedrock, whole and as a stream, by botocore."""
import sys

import botocore.session

client = botocore.session.get_session().create_client("bedrock-runtime", region_name="eu-central-1", endpoint_url=sys.argv[1])
ask = dict(modelId="anthropic.claude-3-5-sonnet-20240620-v1:0", messages=[{"role": "user", "content": [{"text": "hi"}]}])
whole = client.converse(**ask)
print(whole["output"]["message"]["content"][0]["text"], whole["usage"]["inputTokens"], whole["usage"]["outputTokens"])
text, usage = "", {}
for event in client.converse_stream(**ask)["stream"]:
    text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
    usage = event.get("metadata", {}).get("usage", usage)
print(text, usage["inputTokens"], usage["outputTokens"])
