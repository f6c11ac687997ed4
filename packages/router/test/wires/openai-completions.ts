import assert from 'node:assert/strict';
import type OpenAI from 'openai';
import { readChunks } from './openai-chunks.ts';
import { errorFields, parsed, type Understood, type Wire } from './talk.ts';

/** The older form: a prompt goes on as a text. */
export const openaiCompletions: Wire = {
  name: 'openai-completions',
  isTextOnly: true,
  path: () => '/v1/completions',
  body: (talk, model, isStream) => ({
    model,
    prompt: talk.turns.flatMap((turn) => ('user' in turn ? [turn.user] : [])).join('\n'),
    ...(talk.maxTokens !== undefined && { max_tokens: talk.maxTokens }),
    ...(talk.temperature !== undefined && { temperature: talk.temperature }),
    ...(isStream && { stream: true, stream_options: { include_usage: true } }),
  }),
  whole(body) {
    const { choices, usage }: OpenAI.Completion = parsed(body);
    const [choice] = choices;
    assert.ok(choice !== undefined && choices.length === 1 && choice.index === 0);
    return understood(choice.text, choice.finish_reason, usage);
  },
  stream(text) {
    const { choices, usage, hasFailed } = readChunks<OpenAI.Completion>(text, 'text_completion');
    let said = '';
    let reason: string | undefined;
    for (const choice of choices) {
      assert.equal(reason, undefined, 'nothing follows the finish reason but the usage');
      said += choice.text;
      reason = choice.finish_reason ?? undefined;
    }
    return understood(said, hasFailed ? 'failed' : reason, usage);
  },
  error: (body) => errorFields(parsed(body).error),
};

function understood(
  text: string,
  reason: string | undefined,
  usage: OpenAI.CompletionUsage | null | undefined,
): Understood {
  const stops = { stop: 'end', length: 'length', content_filter: 'refusal', failed: 'failed' } as const;
  assert.ok(reason === 'stop' || reason === 'length' || reason === 'content_filter' || reason === 'failed', reason);
  return {
    text,
    thought: '',
    calls: [],
    stop: stops[reason],
    inputTokens: usage?.prompt_tokens ?? -1,
    outputTokens: usage?.completion_tokens ?? -1,
  };
}
