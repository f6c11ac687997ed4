import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/core/json.ts';
import type { ChatResponse } from 'ollama';
import { functionTools, parsed, resultText, type Turn, type Understood, untilError, type Wire } from './talk.ts';

/** Its dates are texts on the wire. */
type Line = Omit<ChatResponse, 'created_at'> & { readonly created_at: string };

export const ollama: Wire = {
  name: 'ollama',
  path: () => '/api/chat',
  body: (talk, model, isStream) => ({
    model,
    messages: [
      ...(talk.system === undefined ? [] : [{ role: 'system', content: talk.system }]),
      ...talk.turns.map(message),
    ],
    ...functionTools(talk, (spec) => ({ type: 'function', function: spec })),
    options: {
      ...(talk.maxTokens !== undefined && { num_predict: talk.maxTokens }),
      ...(talk.temperature !== undefined && { temperature: talk.temperature }),
    },
    ...(talk.schema !== undefined && { format: talk.schema }),
    ...(talk.thinks === true && { think: true }),
    ...(!isStream && { stream: false }),
  }),
  whole: (body) => understood([parsed(body)]),
  stream(text) {
    assert.ok(text.endsWith('\n'), 'the last line is whole');
    const { bodies, isCut } = untilError(text.trimEnd().split('\n'), ollama);
    return understood(bodies, isCut);
  },
  error(body) {
    const { error, code }: { readonly error: string; readonly code: string } = parsed(body);
    assert.equal(typeof error, 'string');
    return { code, message: error };
  },
};

function message(turn: Turn): JsonObject {
  if ('user' in turn) {
    return { role: 'user', content: turn.user, ...(turn.image !== undefined && { images: [turn.image] }) };
  }
  if ('result' in turn) {
    return { role: 'tool', content: resultText(turn), tool_name: turn.of.name, tool_call_id: turn.of.id };
  }
  const calls = (turn.calls ?? []).map(({ id, name, input }) => ({ id, function: { name, arguments: input } }));
  return {
    role: 'assistant',
    content: turn.assistant,
    ...(turn.thought !== undefined && { thinking: turn.thought }),
    ...(calls.length > 0 && { tool_calls: calls }),
  };
}

/** Lines in order, or the one whole answer. `done` comes once, in the last, with the counts as integers. */
function understood(lines: readonly Line[], isCut = false): Understood {
  let [text, thought] = ['', ''];
  const calls: Understood['calls'][number][] = [];
  for (const [i, line] of lines.entries()) {
    const isLast = i === lines.length - 1 && !isCut;
    assert.equal(line.done, isLast, 'the last line is done, and no other');
    assert.ok(!Number.isNaN(Date.parse(line.created_at)));
    assert.equal(line.message.role, 'assistant');
    text += line.message.content;
    thought += line.message.thinking ?? '';
    for (const call of line.message.tool_calls ?? []) {
      calls.push({ name: call.function.name, input: call.function.arguments });
    }
    if (!isLast) continue;
    for (const count of [line.total_duration, line.load_duration, line.prompt_eval_duration, line.eval_duration]) {
      assert.ok(Number.isInteger(count) && count >= 0);
    }
  }
  const last = lines.at(-1);
  const isLong = last?.done_reason === 'length';
  return {
    text,
    thought,
    calls,
    stop: isCut ? 'failed' : isLong ? 'length' : calls.length > 0 ? 'calls' : 'end',
    inputTokens: last?.prompt_eval_count ?? -1,
    outputTokens: last?.eval_count ?? -1,
  };
}
