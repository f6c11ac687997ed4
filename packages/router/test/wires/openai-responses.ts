import assert from 'node:assert/strict';
import type { JsonObject } from '../../src/core/json.ts';
import type OpenAI from 'openai';
import {
  errorFields,
  functionTools,
  namedEvents,
  parsed,
  resultText,
  type Turn,
  type Understood,
  type Wire,
} from './talk.ts';

type Response = OpenAI.Responses.Response;
type StreamEvent = OpenAI.Responses.ResponseStreamEvent;
type Item = OpenAI.Responses.ResponseOutputItem;

export const openaiResponses: Wire = {
  name: 'openai-responses',
  path: () => '/v1/responses',
  body: (talk, model, isStream) => ({
    model,
    ...(talk.system !== undefined && { instructions: talk.system }),
    input: talk.turns.flatMap(items),
    ...functionTools(talk, (spec) => ({ type: 'function', ...spec })),
    ...(talk.maxTokens !== undefined && { max_output_tokens: talk.maxTokens }),
    ...(talk.thinks === true && { reasoning: { summary: 'auto' } }),
    ...(talk.temperature !== undefined && { temperature: talk.temperature }),
    ...(talk.schema !== undefined && {
      text: { format: { type: 'json_schema', name: 'answer', schema: talk.schema } },
    }),
    ...(isStream && { stream: true }),
  }),
  whole: (body) => understood(parsed(body)),
  stream(text) {
    const order = new ResponseOrder();
    for (const { name, json } of namedEvents(text)) {
      const event: StreamEvent = parsed(json);
      assert.equal(event.type, name, 'the event is named as its type');
      order.take(event);
    }
    return order.end();
  },
  error: (body) => errorFields(parsed(body).error),
};

function items(turn: Turn): readonly JsonObject[] {
  if ('user' in turn) {
    const image = { type: 'input_image', image_url: `data:image/png;base64,${turn.image}` };
    const parts = [{ type: 'input_text', text: turn.user }, ...(turn.image === undefined ? [] : [image])];
    return [{ type: 'message', role: 'user', content: parts }];
  }
  if ('result' in turn) {
    return [{ type: 'function_call_output', call_id: turn.of.id, output: resultText(turn) }];
  }
  const part = { type: 'output_text', text: turn.assistant, annotations: [] };
  return [
    ...(turn.thought === undefined
      ? []
      : [{ type: 'reasoning', id: 'rs_1', summary: [{ type: 'summary_text', text: turn.thought }] }]),
    ...(turn.assistant === '' ? [] : [{ type: 'message', id: 'msg_1', role: 'assistant', content: [part] }]),
    ...(turn.calls ?? []).map(({ id, name, input }) => ({
      type: 'function_call',
      call_id: id,
      name,
      arguments: JSON.stringify(input),
    })),
  ];
}

/** What a whole response says. */
function understood({ output, status, incomplete_details: why, usage }: Response): Understood {
  const calls = output.flatMap((item) =>
    item.type === 'function_call' ? [{ name: item.name, input: JSON.parse(item.arguments) }] : [],
  );
  const first = output.findIndex(({ type }) => type === 'function_call');
  assert.ok(
    output.every(({ type }, i) => first === -1 || i < first || type === 'function_call'),
    'thoughts, then words, then calls',
  );
  const stop = ((): Understood['stop'] => {
    if (status === 'failed') return 'failed';
    if (status === 'incomplete') return why?.reason === 'content_filter' ? 'refusal' : 'length';
    assert.equal(status, 'completed');
    return calls.length > 0 ? 'calls' : 'end';
  })();
  return {
    text: output
      .flatMap((item) => (item.type === 'message' ? item.content : []))
      .map((part) => (part.type === 'output_text' ? part.text : part.refusal))
      .join(''),
    thought: output.flatMap((item) => (item.type === 'reasoning' ? item.summary.map(({ text }) => text) : [])).join(''),
    calls,
    stop,
    inputTokens: usage?.input_tokens ?? -1,
    outputTokens: usage?.output_tokens ?? -1,
  };
}

/** An item on its way: what its deltas have said so far. */
interface Open {
  readonly item: Item;
  text: string;
  hasPart: boolean;
  isPartDone: boolean;
  isTextDone: boolean;
}

/**
 * Follows a stream event by event: created and in progress first, each item added before its deltas and done after them,
 * one last event that holds what the stream has said.
 */
class ResponseOrder {
  readonly #open = new Map<number, Open>();
  readonly #done: Item[] = [];
  #sequence = 0;
  #id: string | undefined;
  #items = 0;
  #last: Understood | undefined;

  take(event: StreamEvent): void {
    assert.ok('sequence_number' in event);
    assert.equal(event.sequence_number, this.#sequence, 'events are numbered without gaps');
    assert.equal(this.#last, undefined, 'nothing follows the last event');
    if (this.#sequence === 0) assert.equal(event.type, 'response.created');
    if (this.#sequence === 1) assert.equal(event.type, 'response.in_progress');
    this.#sequence++;
    switch (event.type) {
      case 'response.created':
      case 'response.in_progress':
        this.#isSame(event.response);
        assert.deepEqual([event.response.status, event.response.output], ['in_progress', []]);
        return;
      case 'response.output_item.added':
        return this.#added(event.output_index, event.item);
      case 'response.content_part.added':
      case 'response.reasoning_summary_part.added': {
        const open = this.#at(event);
        assert.equal(open.hasPart, false, 'one part an item');
        open.hasPart = true;
        return;
      }
      case 'response.output_text.delta':
        assert.deepEqual(event.logprobs, []);
        return this.#delta(event, event.delta);
      case 'response.refusal.delta':
      case 'response.reasoning_summary_text.delta':
        return this.#delta(event, event.delta);
      case 'response.function_call_arguments.delta':
      case 'response.custom_tool_call_input.delta':
        return this.#delta(event, event.delta);
      case 'response.output_text.done':
        return this.#textDone(event, event.text);
      case 'response.refusal.done':
        return this.#textDone(event, event.refusal);
      case 'response.reasoning_summary_text.done':
        return this.#textDone(event, event.text);
      case 'response.function_call_arguments.done':
        return this.#textDone(event, event.arguments);
      case 'response.custom_tool_call_input.done':
        return this.#textDone(event, event.input);
      case 'response.content_part.done':
      case 'response.reasoning_summary_part.done': {
        const open = this.#at(event);
        assert.ok(open.isTextDone && !open.isPartDone, 'a part is done after its text, and once');
        open.isPartDone = true;
        return;
      }
      case 'response.output_item.done':
        return this.#itemDone(event.output_index, event.item);
      case 'response.completed':
      case 'response.incomplete':
        assert.equal(event.response.status, event.type.slice('response.'.length));
        return this.#finished(event.response);
      case 'response.failed':
        assert.ok(['server_error', 'rate_limit_exceeded', 'invalid_prompt'].includes(event.response.error?.code ?? ''));
        return this.#finished(event.response);
      default:
        assert.fail(`an event that nobody asked for: ${event.type}`);
    }
  }

  end(): Understood {
    assert.ok(this.#last !== undefined, 'the stream comes to its end');
    return this.#last;
  }

  #isSame({ id, object }: Response): void {
    this.#id ??= id;
    assert.deepEqual([id, object], [this.#id, 'response']);
    assert.match(id, /^resp_/);
  }

  #added(index: number, item: Item): void {
    assert.equal(index, this.#items++, 'items count up');
    if (item.type === 'message') assert.deepEqual([item.status, item.content], ['in_progress', []]);
    if (item.type === 'function_call') assert.deepEqual([item.status, item.arguments], ['in_progress', '']);
    this.#open.set(index, { item, text: '', hasPart: false, isPartDone: false, isTextDone: false });
  }

  #at({ output_index: index, item_id: id }: { readonly output_index: number; readonly item_id: string }): Open {
    const open = this.#open.get(index);
    assert.ok(open !== undefined, 'only an item that is open says something');
    assert.equal(open.item.id, id);
    return open;
  }

  #delta(event: { readonly output_index: number; readonly item_id: string }, text: string): void {
    const open = this.#at(event);
    assert.ok(!open.isTextDone);
    assert.equal(open.hasPart, open.item.type === 'message' || open.item.type === 'reasoning');
    open.text += text;
  }

  #textDone(event: { readonly output_index: number; readonly item_id: string }, text: string): void {
    const open = this.#at(event);
    assert.equal(text, open.text, 'what is done is what the deltas said');
    open.isTextDone = true;
  }

  #itemDone(index: number, item: Item): void {
    const open = this.#open.get(index);
    assert.ok(open !== undefined && open.isTextDone && open.isPartDone === open.hasPart);
    assert.deepEqual([item.id, item.type], [open.item.id, open.item.type]);
    this.#open.delete(index);
    this.#done[index] = item;
  }

  #finished(response: Response): void {
    this.#isSame(response);
    if (response.status !== 'failed') {
      assert.equal(this.#open.size, 0, 'every item is done');
      assert.deepEqual(response.output, this.#done, 'the output is what the stream said');
    }
    this.#last = understood(response);
  }
}
