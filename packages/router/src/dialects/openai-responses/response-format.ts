import type { LfoError } from '../../core/errors.ts';
import type { FinishEvent, InferenceEvent, TokenScore, Usage } from '../../core/events.ts';
import type { ChatRequest } from '../../core/request.ts';
import { errorBody } from '../../server/error-body.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { isGiven } from '../given.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import { customInput, type FlatTools, type ToolOrigin } from '../tools.ts';
import { count } from '../usage.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, WholeAnswer } from '../wire.ts';
import type { ResponsesBody } from './schema.ts';

/** Responses and their events. */
export class ResponseFormatter implements AnswerFormat {
  readonly dialect = 'openai-responses';
  readonly headers = {};
  readonly streamType = 'text/event-stream; charset=utf-8';
  readonly errorBody = errorBody;
  readonly #request: ChatRequest;
  readonly #model: string;
  readonly #body: ResponsesBody;
  readonly #tools: FlatTools;

  constructor(request: ChatRequest, model: string, body: ResponsesBody, tools: FlatTools) {
    this.#request = request;
    this.#model = model;
    this.#body = body;
    this.#tools = tools;
  }

  /** The same state machine as a stream's; its frames are not read. */
  whole(context: AnswerContext): WholeAnswer {
    const answer = this.#writer(context);
    return {
      facts: () => answer.facts,
      add: (event) => void answer.encode(event),
      body: (metadata) => answer.finished(metadata),
    };
  }

  stream(context: AnswerContext): AnswerStream {
    return this.#writer(context);
  }

  /** What a probe is answered: nothing runs, and nothing was said. */
  emptyBody(createdS: number): object {
    return { ...this.#shell(createdS), status: 'completed', output: [], usage: wireUsage(noUsage) };
  }

  emptyStream(createdS: number): string {
    const response = this.emptyBody(createdS);
    const begun = { ...this.#shell(createdS), status: 'in_progress', output: [] };
    return [
      { type: 'response.created', response: begun },
      { type: 'response.in_progress', response: begun },
      { type: 'response.completed', response },
    ]
      .map((event, i) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number: i })}\n\n`)
      .join('');
  }

  #writer({ createdS }: AnswerContext): ResponseStream {
    const { effort, summary } = this.#body.reasoning ?? {};
    // Whoever says nothing of thinking has not asked to see it.
    const isThinkingShown = isGiven(summary) || (isGiven(effort) && effort !== 'none');
    return new ResponseStream(this.#shell(createdS), this.#request, this.#tools, isThinkingShown);
  }

  /** Every required member but those that depend on the answer. */
  #shell(createdS: number): Shell {
    const body = this.#body;
    return {
      id: `resp_${this.#request.id}`,
      object: 'response',
      created_at: createdS,
      error: null,
      incomplete_details: null,
      instructions: body.instructions ?? null,
      model: this.#model,
      tools: this.#tools.specs.map((spec) => {
        const { isCustom } = this.#tools.originOf(spec.name);
        return isCustom === true
          ? { type: 'custom', name: spec.name }
          : {
              type: 'function',
              name: spec.name,
              description: spec.description ?? null,
              parameters: spec.parameters ?? null,
              strict: spec.strict ?? null,
            };
      }),
      parallel_tool_calls: body.parallel_tool_calls ?? true,
      metadata: body.metadata ?? {},
      tool_choice: typeof body.tool_choice === 'string' ? body.tool_choice : 'auto',
      temperature: body.temperature ?? null,
      top_p: body.top_p ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      previous_response_id: null,
      reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
      store: false,
      background: false,
      text: { format: isGiven(body.text?.format) ? body.text.format : { type: 'text' } },
      truncation: 'disabled',
    };
  }
}

type Shell = Readonly<Record<string, unknown>>;

const noUsage: Usage = { promptTokens: 0, completionTokens: 0 };

interface OpenItem {
  readonly outputIndex: number;
  readonly id: string;
  readonly kind: 'message' | 'refusal' | 'reasoning' | 'call';
  readonly text: WellFormedText;
  written: string;
  readonly call?: { readonly id: string; readonly origin: ToolOrigin };
}

/** Writes a response item by item, numbering every event. */
class ResponseStream implements AnswerStream {
  readonly #shell: Shell;
  readonly #request: ChatRequest;
  readonly #tools: FlatTools;
  readonly #isThinkingShown: boolean;
  readonly #ledger = new CallLedger();
  readonly #output: object[] = [];
  readonly #calls = new Map<number, OpenItem>();
  /** Text, refusal or reasoning under way: at most one. */
  #said: OpenItem | undefined;
  #items = 0;
  #sequence = 0;
  #hasStarted = false;
  #scores: TokenScore[] = [];
  #finish: FinishEvent | undefined;

  constructor(shell: Shell, request: ChatRequest, tools: FlatTools, isThinkingShown: boolean) {
    this.#isThinkingShown = isThinkingShown;
    this.#shell = shell;
    this.#request = request;
    this.#tools = tools;
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  encode(event: InferenceEvent): string {
    switch (event.type) {
      case 'text-delta':
        return this.#say('message', event.text);
      case 'refusal-delta':
        return this.#say('refusal', event.text);
      case 'reasoning-delta':
        return this.#isThinkingShown ? this.#say('reasoning', event.text) : '';
      case 'tool-call-start':
        this.#ledger.start(event.index);
        return this.#beginCall(event.index, event.id, event.name);
      case 'tool-call-delta': {
        const item = this.#calls.get(event.index);
        return item === undefined ? '' : this.#callText(item, item.text.push(event.json));
      }
      case 'tool-call-end':
        this.#ledger.end(event.index, event.repaired === true);
        return this.#endCall(event.index);
      case 'token-scores':
        if (event.about === 'text' && this.#request.sampling.logprobs) this.#scores.push(...event.scores);
        return '';
      case 'finish':
        this.#finish = event;
        return '';
      default:
        return '';
    }
  }

  heartbeat(): string {
    return ': waiting\n\n';
  }

  end(metadata: AnswerMetadata): string {
    const response = this.finished(metadata);
    const type = response['status'] === 'incomplete' ? 'response.incomplete' : 'response.completed';
    return `${this.#start()}${this.#tail}${this.#frame({ type, response })}`;
  }

  /** Frames that closing the last items made. */
  #tail = '';

  /** The whole response. @throws LfoError where the answer has no end, or a call in it has none */
  finished(metadata: AnswerMetadata): Shell {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const reason = this.#ledger.finishReason(finish.reason);
    this.#tail = this.#start() + this.#closeSaid();
    const cut = reason === 'length' ? 'max_output_tokens' : reason === 'content_filter' ? 'content_filter' : undefined;
    return {
      ...this.#shell,
      status: cut === undefined ? 'completed' : 'incomplete',
      incomplete_details: cut === undefined ? null : { reason: cut },
      output: this.#output,
      usage: wireUsage(finish.usage),
      lfo_metadata: metadata,
    };
  }

  fail(error: LfoError, metadata: AnswerMetadata): string {
    const { message, code } = errorBody(error).error;
    const known = error.status === 429 ? 'rate_limit_exceeded' : error.status < 500 ? 'invalid_prompt' : 'server_error';
    const response = {
      ...this.#shell,
      status: 'failed',
      error: { code: known, message: `${message} (${code})` },
      output: this.#output,
      lfo_metadata: metadata,
    };
    return this.#start() + this.#frame({ type: 'response.failed', response });
  }

  #say(kind: 'message' | 'refusal' | 'reasoning', piece: string): string {
    if (piece === '') return '';
    const before = this.#said?.kind === kind ? '' : this.#openSaid(kind);
    const item = this.#said;
    return item === undefined ? before : before + this.#saidText(item, item.text.push(piece));
  }

  #openSaid(kind: 'message' | 'refusal' | 'reasoning'): string {
    const before = this.#start() + this.#closeSaid();
    const outputIndex = this.#items++;
    const id = `${kind === 'reasoning' ? 'rs' : 'msg'}_${this.#request.id}_${outputIndex}`;
    this.#said = { outputIndex, id, kind, text: new WellFormedText(), written: '' };
    const item =
      kind === 'reasoning'
        ? { id, type: 'reasoning', summary: [] }
        : { id, type: 'message', status: 'in_progress', role: 'assistant', content: [] };
    const added = this.#frame({ type: 'response.output_item.added', output_index: outputIndex, item });
    const at = { item_id: id, output_index: outputIndex };
    if (kind === 'reasoning') {
      const part = { type: 'summary_text', text: '' };
      return (
        before + added + this.#frame({ type: 'response.reasoning_summary_part.added', ...at, summary_index: 0, part })
      );
    }
    const part = contentPart(kind, '', []);
    return before + added + this.#frame({ type: 'response.content_part.added', ...at, content_index: 0, part });
  }

  #saidText(item: OpenItem, text: string): string {
    if (text === '') return '';
    item.written += text;
    const at = { item_id: item.id, output_index: item.outputIndex };
    switch (item.kind) {
      case 'reasoning':
        return this.#frame({ type: 'response.reasoning_summary_text.delta', ...at, summary_index: 0, delta: text });
      case 'refusal':
        return this.#frame({ type: 'response.refusal.delta', ...at, content_index: 0, delta: text });
      default:
        return this.#frame({ type: 'response.output_text.delta', ...at, content_index: 0, delta: text, logprobs: [] });
    }
  }

  #closeSaid(): string {
    const item = this.#said;
    if (item === undefined) return '';
    let frames = this.#saidText(item, item.text.end());
    this.#said = undefined;
    const { id, kind, outputIndex, written: text } = item;
    const at = { item_id: id, output_index: outputIndex };
    if (kind === 'reasoning') {
      const part = { type: 'summary_text', text };
      frames += this.#frame({ type: 'response.reasoning_summary_text.done', ...at, summary_index: 0, text });
      frames += this.#frame({ type: 'response.reasoning_summary_part.done', ...at, summary_index: 0, part });
      return frames + this.#done(outputIndex, { id, type: 'reasoning', summary: [part] });
    }
    const part = contentPart(kind, text, kind === 'message' ? this.#takeScores() : []);
    frames +=
      kind === 'refusal'
        ? this.#frame({ type: 'response.refusal.done', ...at, content_index: 0, refusal: text })
        : this.#frame({ type: 'response.output_text.done', ...at, content_index: 0, text, logprobs: [] });
    frames += this.#frame({ type: 'response.content_part.done', ...at, content_index: 0, part });
    const status = this.#finish?.reason === 'length' ? 'incomplete' : 'completed';
    return frames + this.#done(outputIndex, { id, type: 'message', status, role: 'assistant', content: [part] });
  }

  #beginCall(index: number, callId: string, flatName: string): string {
    const before = this.#start() + this.#closeSaid();
    const origin = this.#tools.originOf(flatName);
    const outputIndex = this.#items++;
    const id = `${origin.isCustom === true ? 'ctc' : 'fc'}_${this.#request.id}_${outputIndex}`;
    const item: OpenItem = {
      outputIndex,
      id,
      kind: 'call',
      text: new WellFormedText(),
      written: '',
      call: { id: callId.toWellFormed(), origin },
    };
    this.#calls.set(index, item);
    const added = callItem(item, 'in_progress', '');
    return before + this.#frame({ type: 'response.output_item.added', output_index: outputIndex, item: added });
  }

  /** The text of a custom tool is known only once its JSON is whole. */
  #callText(item: OpenItem, text: string): string {
    if (text === '') return '';
    item.written += text;
    if (item.call?.origin.isCustom === true) return '';
    const at = { item_id: item.id, output_index: item.outputIndex };
    return this.#frame({ type: 'response.function_call_arguments.delta', ...at, delta: text });
  }

  #endCall(index: number): string {
    const item = this.#calls.get(index);
    if (item === undefined) return '';
    this.#calls.delete(index);
    let frames = this.#callText(item, item.text.end());
    const at = { item_id: item.id, output_index: item.outputIndex };
    if (item.call?.origin.isCustom === true) {
      const input = customInput(item.written);
      if (input !== '') frames += this.#frame({ type: 'response.custom_tool_call_input.delta', ...at, delta: input });
      frames += this.#frame({ type: 'response.custom_tool_call_input.done', ...at, input });
    } else {
      const { written: json } = item;
      const name = item.call?.origin.name ?? '';
      frames += this.#frame({ type: 'response.function_call_arguments.done', ...at, name, arguments: json });
    }
    return frames + this.#done(item.outputIndex, callItem(item, 'completed', item.written));
  }

  #done(outputIndex: number, item: object): string {
    this.#output.push(item);
    return this.#frame({ type: 'response.output_item.done', output_index: outputIndex, item });
  }

  #start(): string {
    if (this.#hasStarted) return '';
    this.#hasStarted = true;
    const response = { ...this.#shell, status: 'in_progress', output: [] };
    return (
      this.#frame({ type: 'response.created', response }) + this.#frame({ type: 'response.in_progress', response })
    );
  }

  #takeScores(): readonly object[] {
    const top = this.#request.sampling.topLogprobs ?? 0;
    const scores = this.#scores.map((score) => ({
      ...logprobEntry(score),
      top_logprobs: (score.top ?? []).slice(0, top).map(logprobEntry),
    }));
    this.#scores = [];
    return scores;
  }

  #frame(event: { readonly type: string; readonly [field: string]: unknown }): string {
    const numbered = JSON.stringify({ ...event, sequence_number: this.#sequence++ });
    return `event: ${event.type}\ndata: ${numbered}\n\n`;
  }
}

/** What the document puts where a token is practically impossible. */
const impossible = -9999;

function logprobEntry({ token, logprob }: { readonly token: string; readonly logprob: number }) {
  const text = token.toWellFormed();
  return { token: text, logprob: Number.isFinite(logprob) ? logprob : impossible, bytes: [...Buffer.from(text)] };
}

function contentPart(kind: OpenItem['kind'], text: string, logprobs: readonly object[]): object {
  if (kind === 'refusal') return { type: 'refusal', refusal: text };
  return { type: 'output_text', text, annotations: [], logprobs };
}

function callItem({ id, call }: OpenItem, status: string, json: string): object {
  const { name, namespace, isCustom } = call?.origin ?? { name: '' };
  const base = { id, status, call_id: call?.id ?? '', name, ...(namespace !== undefined && { namespace }) };
  if (isCustom === true) return { ...base, type: 'custom_tool_call', input: json === '' ? '' : customInput(json) };
  return { ...base, type: 'function_call', arguments: json };
}

function wireUsage({ promptTokens, completionTokens, cachedTokens, reasoningTokens }: Usage) {
  const input = count(promptTokens);
  const output = count(completionTokens);
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: count(cachedTokens), cache_write_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: count(reasoningTokens) },
    total_tokens: input + output,
  };
}
