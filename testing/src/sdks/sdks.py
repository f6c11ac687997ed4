"""Asks one router through the official SDKs, whole and as a stream: `sdks.py BASE`. Prints what each understood as JSON."""

import asyncio
import json
import sys

import anthropic
import ollama
import openai
from google import genai
from google.genai import types

base = sys.argv[1]
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
prompts = {"text": "Say it.", "call": "Call it."}


def arguments(value):
    return json.loads(value) if isinstance(value, str) else dict(value or {})


def openai_chat(prompt, streams):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    messages = [{"role": "user", "content": prompt}]
    if not streams:
        message = client.chat.completions.create(model="lfo-auto", messages=messages, tools=tools).choices[0].message
    else:
        with client.chat.completions.stream(model="lfo-auto", messages=messages, tools=tools) as stream:
            message = stream.get_final_completion().choices[0].message
    calls = [[call.function.name, arguments(call.function.arguments)] for call in message.tool_calls or []]
    return message.content or "", calls


def openai_responses(prompt, streams):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
    asked = {
        "model": "lfo-auto",
        "input": prompt,
        "tools": [{"type": "function", "name": "weather", "parameters": schema, "strict": False}],
    }
    if not streams:
        response = client.responses.create(**asked)
    else:
        with client.responses.stream(**asked) as stream:
            for _ in stream:
                pass
            response = stream.get_final_response()
    calls = [[item.name, arguments(item.arguments)] for item in response.output if item.type == "function_call"]
    return response.output_text, calls


def messages(prompt, streams):
    client = anthropic.Anthropic(base_url=base, api_key="none", max_retries=0)
    asked = {
        "model": "lfo-auto",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}],
        "tools": [{"name": "weather", "input_schema": schema}],
    }
    if not streams:
        message = client.messages.create(**asked)
    else:
        with client.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    return text, [[block.name, dict(block.input)] for block in message.content if block.type == "tool_use"]


def gemini(prompt, streams):
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=base))
    declaration = types.FunctionDeclaration(name="weather", parameters_json_schema=schema)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declaration])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    asked = {"model": "lfo-auto", "contents": prompt, "config": config}
    if not streams:
        chunks = [client.models.generate_content(**asked)]
    else:
        chunks = list(client.models.generate_content_stream(**asked))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
    text = "".join(part.text or "" for part in parts)
    return text, [[part.function_call.name, arguments(part.function_call.args)] for part in parts if part.function_call]


def ollama_chat(prompt, streams):
    client = ollama.Client(host=base)
    asked = {
        "model": "lfo-auto",
        "messages": [{"role": "user", "content": prompt}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": schema}}],
    }
    lines = list(client.chat(**asked, stream=True)) if streams else [client.chat(**asked)]
    text = "".join(line.message.content or "" for line in lines)
    calls = [call for line in lines for call in line.message.tool_calls or []]
    return text, [[call.function.name, arguments(call.function.arguments)] for call in calls]



def counted():
    client = anthropic.Anthropic(base_url=base, api_key="none", max_retries=0)
    return client.messages.count_tokens(model="lfo-auto", messages=[{"role": "user", "content": "Hi"}]).input_tokens


async def leaves_early():
    """A client that leaves in the middle of a stream ends without an error of its own."""
    client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
    stream = await client.responses.create(model="lfo-auto", input=prompts["text"], stream=True)
    async for event in stream:
        await stream.close()
        return event.type


understood = {}
for name, ask in {
    "openai-chat": openai_chat,
    "openai-responses": openai_responses,
    "anthropic": messages,
    "gemini": gemini,
    "ollama": ollama_chat,
}.items():
    understood[name] = {
        f"{kind} {'in a stream' if streams else 'whole'}": ask(prompt, streams)
        for kind, prompt in prompts.items()
        for streams in (False, True)
    }
print(json.dumps({"understood": understood, "counted": counted(), "left": asyncio.run(leaves_early())}))
