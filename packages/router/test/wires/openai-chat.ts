import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '../../src/core/json.ts';
import type OpenAI from 'openai';
import { readChunks } from './openai-chunks.ts';
import { errorFields, functionTools, parsed, resultText, type Turn, type Understood, type Wire } from './talk.ts';

type Delta = OpenAI.ChatCompletionChunk['choices'][number]['delta'] & { readonly reasoning_content?: string };
type Message = OpenAI.ChatCompletionMessage & { readonly reasoning_content?: string };

export const openaiChat: Wire = {
  name: 'openai-chat',
  path: () => '/v1/chat/completions',
  body: (talk, model, isStream) => ({
    model,
    messages: [
      ...(talk.system === undefined ? [] : [{ role: 'system', content: talk.system }]),
      ...talk.turns.map(message),
    ],
    ...functionTools(talk, (spec) => ({ type: 'function', function: spec })),
    ...(talk.maxTokens !== undefined && { max_tokens: talk.maxTokens }),
    ...(talk.temperature !== undefined && { temperature: talk.temperature }),
    ...(talk.schema !== undefined && {
      response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: talk.schema } },
    }),
    ...(isStream && { stream: true, stream_options: { include_usage: true } }),
  }),
  whole(body) {
    const { choices, usage }: OpenAI.ChatCompletion = parsed(body);
    const [choice] = choices;
    assert.ok(choice !== undefined && choices.length === 1);
    const message: Message = choice.message;
    return {
      text: (message.content ?? '') + (message.refusal ?? ''),
      thought: message.reasoning_content ?? '',
      calls: (message.tool_calls ?? []).map((call) => {
        assert.equal(call.type, 'function');
        return call.type === 'function'
          ? { name: call.function.name, input: JSON.parse(call.function.arguments) }
          : { name: '', input: undefined };
      }),
      stop: stopOf(choice.finish_reason),
      inputTokens: usage?.prompt_tokens ?? -1,
      outputTokens: usage?.completion_tokens ?? -1,
    };
  },
  stream(text) {
    const { choices, usage, hasFailed } = readChunks<OpenAI.ChatCompletionChunk>(text, 'chat.completion.chunk');
    const calls: { name: string; json: string }[] = [];
    let [said, thought] = ['', ''];
    let stop: Understood['stop'] | undefined;
    for (const [i, choice] of choices.entries()) {
      assert.equal(stop, undefined, 'nothing follows the finish reason but the usage');
      const delta: Delta = choice.delta;
      assert.equal(delta.role, i === 0 ? 'assistant' : undefined, 'the role comes first, and once');
      said += (delta.content ?? '') + (delta.refusal ?? '');
      thought += delta.reasoning_content ?? '';
      for (const { index, id: callId, type, function: fn } of delta.tool_calls ?? []) {
        const known = calls[index];
        if (known === undefined) {
          assert.equal(index, calls.length, 'calls count up');
          assert.ok(callId !== undefined && type === 'function' && fn?.name !== undefined);
          calls.push({ name: fn.name, json: fn.arguments ?? '' });
        } else {
          assert.ok(callId === undefined && fn?.name === undefined, 'id and name come once');
          known.json += fn?.arguments ?? '';
        }
      }
      if (choice.finish_reason !== null) stop = stopOf(choice.finish_reason);
    }
    assert.ok(hasFailed || stop !== undefined, 'a whole stream has a finish reason');
    return {
      text: said,
      thought,
      calls: calls.map(({ name, json }) => ({ name, input: hasFailed ? json : JSON.parse(json) })),
      stop: hasFailed ? 'failed' : (stop ?? 'failed'),
      inputTokens: usage?.prompt_tokens ?? -1,
      outputTokens: usage?.completion_tokens ?? -1,
    };
  },
  error: (body) => errorFields(parsed(body).error),
};

function message(turn: Turn): JsonValue {
  if ('user' in turn) {
    const text = { type: 'text', text: turn.user };
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${turn.image}` } };
    return { role: 'user', content: turn.image === undefined ? turn.user : [text, image] };
  }
  if ('result' in turn) {
    return { role: 'tool', tool_call_id: turn.of.id, content: resultText(turn) };
  }
  const calls = (turn.calls ?? []).map(({ id, name, input }): JsonObject => ({
    id,
    type: 'function',
    function: { name, arguments: JSON.stringify(input) },
  }));
  return {
    role: 'assistant',
    content: turn.assistant === '' ? null : turn.assistant,
    ...(turn.thought !== undefined && { reasoning_content: turn.thought }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

function stopOf(reason: string): Understood['stop'] {
  switch (reason) {
    case 'tool_calls':
      return 'calls';
    case 'length':
      return 'length';
    case 'content_filter':
      return 'refusal';
    default:
      assert.equal(reason, 'stop');
      return 'end';
  }
}
