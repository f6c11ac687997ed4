"""The OpenAI SDK as it is, with another base URL: pip install openai, python3 ask.py "A question"."""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("LFO_URL", "http://localhost:8080") + "/v1",
    api_key=os.environ.get("LFO_AUTH_TOKEN", "none"),
)
question = sys.argv[1] if len(sys.argv) > 1 else "What is 2 + 2?"
messages = [{"role": "user", "content": question}]

# One answer in one piece; what LFO says of it is beside it.
answer = client.chat.completions.create(model="lfo-auto", messages=messages)
told = answer.lfo_metadata
print(answer.choices[0].message.content)
print(f"({told['route']}, {told['backend']}, confidence {told['confidence']}, {told['routing_reason']})")

# The same as a stream, which never leaves your network: the last chunk tells where it came from.
for chunk in client.chat.completions.create(model="lfo-local", messages=messages, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
    if told := getattr(chunk, "lfo_metadata", None):
        print(f"\n({told['route']}, nothing left: {told['egress']})")
