import assert from 'node:assert/strict';
import type Anthropic from '@anthropic-ai/sdk';
import type { JsonObject, JsonValue } from '../../src/core/json.ts';
import { errorFields, namedEvents, parsed, type Turn, type Understood, type Wire } from './talk.ts';

type StreamEvent = Anthropic.RawMessageStreamEvent;

export const anthropic: Wire = {
  name: 'anthropic',
  path: () => '/v1/messages',
  body: (talk, model, isStream) => ({
    model,
    max_tokens: talk.maxTokens ?? 4096,
    ...(talk.system !== undefined && { system: [{ type: 'text', text: talk.system }] }),
    messages: talk.turns.map(message),
    ...((talk.tools ?? []).length > 0 && {
      tools: (talk.tools ?? []).map(({ name, description, schema }) => ({ name, description, input_schema: schema })),
    }),
    ...(talk.temperature !== undefined && { temperature: talk.temperature }),
    ...(talk.schema !== undefined && { output_config: { format: { type: 'json_schema', schema: talk.schema } } }),
    ...(talk.thinks === true && { thinking: { type: 'adaptive' } }),
    ...(isStream && { stream: true }),
  }),
  whole(body) {
    const { content, stop_reason: stop, usage }: Anthropic.Message = parsed(body);
    const firstCall = content.findIndex(({ type }) => type === 'tool_use');
    assert.ok(
      content.every(({ type }, i) => firstCall === -1 || i < firstCall || type === 'tool_use'),
      'words before calls',
    );
    assert.ok(content.length > 0, 'content is never empty');
    return {
      text: content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(''),
      thought: content.flatMap((block) => (block.type === 'thinking' ? [block.thinking] : [])).join(''),
      calls: content.flatMap((block) => (block.type === 'tool_use' ? [{ name: block.name, input: block.input }] : [])),
      stop: stopOf(stop),
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
    };
  },
  stream(text) {
    const order = new MessageOrder();
    for (const { name, json } of namedEvents(text)) {
      if (name === 'ping') continue;
      if (name === 'error') order.failed(json);
      else {
        const event: StreamEvent = parsed(json);
        assert.equal(event.type, name, 'the event is named as its type');
        order.take(event);
      }
    }
    return order.end();
  },
  error(body) {
    const { type, error, request_id: id }: { type: string; error: unknown; request_id: string } = parsed(body);
    assert.equal(type, 'error');
    assert.ok(id.length > 0);
    return errorFields(error);
  },
};

function message(turn: Turn): JsonValue {
  if ('user' in turn) {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: turn.image ?? '' } };
    const text = { type: 'text', text: turn.user };
    return { role: 'user', content: turn.image === undefined ? turn.user : [text, image] };
  }
  if ('result' in turn) {
    const { of, result, isError } = turn;
    const block = { type: 'tool_result', tool_use_id: of.id, content: [{ type: 'text', text: result }] };
    return { role: 'user', content: [{ ...block, ...(isError === true && { is_error: true }) }] };
  }
  const blocks: JsonObject[] = [];
  if (turn.thought !== undefined) blocks.push({ type: 'thinking', thinking: turn.thought, signature: 'c2ln' });
  if (turn.assistant !== '') blocks.push({ type: 'text', text: turn.assistant });
  for (const { id, name, input } of turn.calls ?? []) blocks.push({ type: 'tool_use', id, name, input });
  return { role: 'assistant', content: blocks };
}

function stopOf(reason: string | null): Understood['stop'] {
  switch (reason) {
    case 'max_tokens':
      return 'length';
    case 'tool_use':
      return 'calls';
    case 'refusal':
      return 'refusal';
    default:
      assert.equal(reason, 'end_turn');
      return 'end';
  }
}

interface Block {
  readonly start: Anthropic.RawContentBlockStartEvent['content_block'];
  text: string;
  isSigned: boolean;
}

type State = 'before' | 'between' | 'open' | 'told' | 'stopped' | 'failed';

/** Start, blocks one after another, one `message_delta`, stop: what clients drop a whole answer for. */
class MessageOrder {
  readonly #blocks: Block[] = [];
  #state: State = 'before';
  #end: Anthropic.RawMessageDeltaEvent | undefined;

  take(event: StreamEvent): void {
    switch (event.type) {
      case 'message_start': {
        this.#step('before', 'between');
        const { content, stop_reason: stop, usage, id } = event.message;
        assert.deepEqual([content, stop], [[], null]);
        assert.match(id, /^msg_/);
        assert.ok(usage.input_tokens >= 0);
        return;
      }
      case 'content_block_start': {
        this.#step('between', 'open');
        assert.equal(event.index, this.#blocks.length, 'blocks count up');
        const { content_block: start } = event;
        if (start.type === 'text') assert.equal(start.text, '');
        if (start.type === 'tool_use') assert.deepEqual(start.input, {});
        this.#blocks.push({ start, text: '', isSigned: false });
        return;
      }
      case 'content_block_delta': {
        assert.equal(this.#state, 'open');
        assert.equal(event.index, this.#blocks.length - 1);
        return this.#delta(event.delta);
      }
      case 'content_block_stop': {
        this.#step('open', 'between');
        assert.equal(event.index, this.#blocks.length - 1);
        const block = this.#blocks.at(-1);
        assert.equal(block?.isSigned, block?.start.type === 'thinking', 'a thought is signed');
        return;
      }
      case 'message_delta':
        this.#step('between', 'told');
        this.#end = event;
        return;
      case 'message_stop':
        return this.#step('told', 'stopped');
      default:
        assert.fail(`an event that nobody asked for: ${JSON.stringify(event)}`);
    }
  }

  failed(json: string): void {
    assert.ok(this.#state !== 'stopped' && this.#state !== 'failed');
    anthropic.error(json);
    this.#state = 'failed';
  }

  end(): Understood {
    const hasFailed = this.#state === 'failed';
    assert.ok(hasFailed || this.#state === 'stopped', 'the stream comes to its end');
    const text = (type: string): string =>
      this.#blocks.flatMap(({ start, text }) => (start.type === type ? [text] : [])).join('');
    return {
      text: text('text'),
      thought: text('thinking'),
      calls: this.#blocks.flatMap(({ start, text }) =>
        start.type === 'tool_use'
          ? [{ name: start.name, input: hasFailed ? text : JSON.parse(text === '' ? '{}' : text) }]
          : [],
      ),
      stop: hasFailed ? 'failed' : stopOf(this.#end?.delta.stop_reason ?? null),
      inputTokens: this.#end?.usage.input_tokens ?? -1,
      outputTokens: this.#end?.usage.output_tokens ?? -1,
    };
  }

  #step(from: State, to: State): void {
    assert.equal(this.#state, from);
    this.#state = to;
  }

  #delta(delta: Anthropic.RawContentBlockDelta): void {
    const block = this.#blocks.at(-1);
    assert.ok(block !== undefined);
    const { type } = block.start;
    switch (delta.type) {
      case 'text_delta':
        assert.equal(type, 'text');
        block.text += delta.text;
        return;
      case 'input_json_delta':
        assert.equal(type, 'tool_use');
        block.text += delta.partial_json;
        return;
      case 'thinking_delta':
        assert.ok(type === 'thinking' && !block.isSigned);
        block.text += delta.thinking;
        return;
      case 'signature_delta':
        assert.ok(type === 'thinking' && delta.signature !== '');
        block.isSigned = true;
        return;
      default:
        assert.fail(`a delta that nobody asked for: ${delta.type}`);
    }
  }
}
