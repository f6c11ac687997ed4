import type { AnswerPart, Clock } from '@lfo/protocol';
import { throwIfAborted } from '../abort.ts';
import { LoopGuard } from '../answer/loop-guard.ts';
import { sleep } from '../clock.ts';
import { EngineError } from './engine.ts';
import type {
  Engine,
  EngineDone,
  EngineEvent,
  EngineOptions,
  EnginePrompt,
  EngineRequest,
  LoadedModel,
  ModelFile,
} from './engine.ts';

/** What a scripted model says to one request; each part counts as one token. */
export interface ScriptedAnswer {
  readonly parts: readonly AnswerPart[];
  /** Pause before the first part, reported as prefill in ten steps. */
  readonly prefillMs?: number;
  /** Pause before each later part. */
  readonly partMs?: number;
  /** Thrown in place of the part with this index, or of the end. */
  readonly fault?: { readonly at: number; readonly error: Error };
  readonly done?: Partial<Omit<EngineDone, 'k'>>;
  /** It is stopped where it repeats itself, as a model is; absent: it says all of it. */
  readonly isGuarded?: boolean;
}

export interface ScriptedEngineOptions {
  readonly clock: Clock;
  /** Absent: ten words, or a call of the first tool where one is required. */
  readonly answer?: (request: EngineRequest) => ScriptedAnswer;
  readonly loadMs?: number;
  /** A load ends with it. */
  readonly loadError?: Error;
}

const loadSteps = 4;
const prefillSteps = 10;

/** An engine without a model: says what its script says, at the pace of its clock. One word is one token. */
export function scriptedEngine(options: ScriptedEngineOptions): Engine {
  const { clock, loadMs = 0, loadError } = options;
  return {
    name: 'scripted',
    version: '1',
    async load(model, engineOptions, onProgress, signal) {
      for (let step = 0; step < loadSteps; step++) {
        onProgress(step, loadSteps);
        await sleep(clock, loadMs / loadSteps, signal);
      }
      if (loadError !== undefined) throw loadError;
      onProgress(loadSteps, loadSteps);
      return new ScriptedModel(model, engineOptions, clock, options.answer ?? tenWords);
    },
    async close() {},
  };
}

class ScriptedModel implements LoadedModel {
  readonly info;
  readonly slots: number;
  readonly #clock: Clock;
  readonly #answer: (request: EngineRequest) => ScriptedAnswer;
  #hasRun = false;

  constructor(
    file: ModelFile,
    options: EngineOptions,
    clock: Clock,
    answer: (request: EngineRequest) => ScriptedAnswer,
  ) {
    this.info = {
      id: file.id,
      ctx: options.contextTokens,
      caps: ['tools' as const, 'json_schema' as const, 'scores' as const],
    };
    this.slots = options.slots;
    this.#clock = clock;
    this.#answer = answer;
  }

  async count(prompt: EnginePrompt, signal: AbortSignal): Promise<{ tokens: number; warm: number }> {
    throwIfAborted(signal);
    return { tokens: wordsOf(prompt), warm: 0 };
  }

  async *run(
    request: EngineRequest,
    signal: AbortSignal,
    onPrefill: (done: number, total: number) => void,
  ): AsyncGenerator<EngineEvent> {
    const promptTokens = wordsOf(request);
    if (promptTokens > this.info.ctx)
      throw new EngineError('too_long', 'The prompt is longer than the context.', false);
    const { parts, prefillMs = 0, partMs = 0, fault, done, isGuarded = false } = this.#answer(request);
    const loops = new LoopGuard();
    for (let step = 1; step <= prefillSteps; step++) {
      await sleep(this.#clock, prefillMs / prefillSteps, signal);
      onPrefill(Math.round((promptTokens * step) / prefillSteps), promptTokens);
    }
    const end = (finishReason: EngineDone['finishReason'], completionTokens: number): EngineDone => {
      this.#hasRun = true;
      const usage = { prompt_tokens: promptTokens, completion_tokens: completionTokens };
      return { k: 'done', finishReason, usage, timing: { prefill_tps: 1000, decode_tps: 100 }, ...done };
    };
    for (const [at, part] of parts.entries()) {
      if (at > 0) await sleep(this.#clock, partMs, signal);
      throwIfAborted(signal);
      if (fault?.at === at) throw fault.error;
      const isStop = part.k === 'text' && request.stop.some((stop) => part.text.includes(stop));
      if (isStop || at >= (request.maxTokens ?? Infinity)) {
        yield end(isStop ? 'stop' : 'length', at);
        return;
      }
      yield part;
      if (isGuarded && 'text' in part && loops.push(part.text)) {
        yield { ...end('length', at + 1), cut: 'repetition' };
        return;
      }
    }
    if (fault?.at === parts.length) throw fault.error;
    yield end(parts.some(({ k }) => k === 'call') ? 'tool_calls' : 'stop', parts.length);
  }

  rates(): { prefill?: number; decode?: number } {
    return this.#hasRun ? { prefill: 1000, decode: 100 } : {};
  }

  async close(): Promise<void> {}
}

function tenWords(request: EngineRequest): ScriptedAnswer {
  const [tool] = request.tools;
  if (tool !== undefined && request.toolChoice === 'required') {
    const call = { k: 'call', index: 0, id: 'call_0', name: tool.name } as const;
    return { parts: [call, { k: 'args', index: 0, json: '{}' }, { k: 'call_end', index: 0 }] };
  }
  const words = ['one', ' two', ' three', ' four', ' five', ' six', ' seven', ' eight', ' nine', ' ten'];
  return { parts: words.map((text) => ({ k: 'text', text })), partMs: 1 };
}

function wordsOf(prompt: EnginePrompt): number {
  const text = prompt.messages.map(({ role, content }) => `${role} ${content}`).join(' ');
  const tools =
    prompt.tools.length === 0
      ? ''
      : ` ${prompt.tools.map(({ name, description }) => `${name} ${description ?? ''}`).join(' ')}`;
  return `${text}${tools}`.trim().split(/\s+/).length;
}
