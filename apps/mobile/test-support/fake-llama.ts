import { pause, speak, tokensOf } from './tiny-model';

interface Queued {
  isCancelled: boolean;
}

interface CompletionParams {
  readonly prompt: string;
  readonly n_predict: number;
  readonly stop: readonly string[];
  readonly n_probs?: number;
  readonly grammar?: string;
}

/** The bindings that llama.rn's native library puts on the global object, with a model of a few words. */
export class FakeLlama {
  readonly calls: { readonly name: string; readonly args: readonly unknown[] }[] = [];
  tokenMs = 2;
  slots = 0;
  running = 0;
  mostRunning = 0;
  /** Reading a model halts half-way until this resolves. */
  opening: Promise<void> | undefined;
  /** A request is taken once this resolves. */
  queueing: Promise<void> | undefined;
  readonly #requests = new Map<number, Queued>();
  #next = 1;

  /** Each binding under its name. */
  readonly bindings: Readonly<Record<string, (...args: never[]) => unknown>> = {
    llamaInitContext: async (
      id: number,
      { model, n_ctx }: { model: string; n_ctx: number },
      onProgress?: (percent: number) => void,
    ) => {
      if (model.includes('gone')) throw new Error('Failed to load model');
      onProgress?.(50);
      await this.opening;
      onProgress?.(100);
      return {
        contextId: id,
        gpu: false,
        reasonNoGPU: '',
        model: {
          desc: 'tiny',
          size: 1000,
          nEmbd: 64,
          nParams: 494_000_000,
          chatTemplates: { llamaChat: true, jinja: { default: true, toolUse: true } },
          metadata: { 'general.architecture': 'tiny', n_ctx },
        },
      };
    },
    llamaReleaseContext: async () => {},
    llamaTokenize: async (_id: number, text: string) => ({
      tokens: tokensOf(text).map((_, at) => at),
      has_media: false,
    }),
    llamaGetFormattedChat: async (
      _id: number,
      messages: string,
      _template: string | undefined,
      params: { tools?: string; tool_choice?: string; json_schema?: string },
    ) => {
      const turns: { role: string; content: string; tool_calls?: unknown }[] = JSON.parse(messages);
      const offer = params.tools === undefined ? '' : `<|im_start|>system\nTools: ${params.tools}<|im_end|>\n`;
      const grammar = params.json_schema ?? (params.tool_choice === 'required' ? 'root ::= call' : '');
      return {
        type: 'jinja',
        prompt: `${offer}${turns.map(({ role, content }) => `<|im_start|>${role}\n${content}<|im_end|>\n`).join('')}<|im_start|>assistant\n`,
        chat_format: 1,
        grammar,
        grammar_lazy: params.tool_choice === 'auto',
        grammar_triggers: [],
        preserved_tokens: [],
        additional_stops: ['<|im_end|>'],
      };
    },
    llamaEnableParallelMode: async (
      _id: number,
      { enabled, n_parallel = 1 }: { enabled: boolean; n_parallel?: number },
    ) => {
      this.slots = enabled ? n_parallel : 0;
      return true;
    },
    llamaQueueCompletion: async (
      _id: number,
      params: CompletionParams,
      onToken: (token: object, id: number) => void,
      onComplete: (result: object) => void,
    ) => {
      await this.queueing;
      const id = this.#next++;
      const request = { isCancelled: false };
      this.#requests.set(id, request);
      void this.#generate(id, request, params, onToken).then(onComplete);
      return { requestId: id };
    },
    llamaCancelRequest: async (_id: number, request: number) => {
      const found = this.#requests.get(request);
      if (found !== undefined) found.isCancelled = true;
    },
    llamaSubscribeParallelStatus: async (_id: number, onStatus: (status: { requests: readonly object[] }) => void) => {
      onStatus({ requests: [...this.#requests.keys()].map((id) => ({ request_id: id, state: 'processing_prompt' })) });
      return { subscriberId: 1 };
    },
    llamaUnsubscribeParallelStatus: () => {},
    llamaClearCache: async () => {},
  };

  /** Puts them where the library looks for them; all it does not use here fail when called. */
  install(names: readonly string[]): void {
    for (const name of names) {
      const run = this.bindings[name];
      Object.assign(globalThis, {
        [name]: (...args: never[]) => {
          this.calls.push({ name, args });
          if (run === undefined) throw new Error(`${name} is not expected here`);
          return run(...args);
        },
      });
    }
  }

  callsOf(name: string): readonly { readonly args: readonly unknown[] }[] {
    return this.calls.filter((call) => call.name === name);
  }

  async #generate(
    id: number,
    request: Queued,
    { prompt, n_predict: limit, stop, n_probs: probs, grammar = '' }: CompletionParams,
    onToken: (token: object, id: number) => void,
  ): Promise<object> {
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    const user = prompt.split('<|im_start|>user\n').at(-1) ?? '';
    const offer = /Tools: (.*?)<\|im_end\|>/s.exec(prompt)?.[1] ?? '[]';
    const declared: { function: { name: string } }[] = JSON.parse(offer);
    const tools = declared.map((tool) => tool.function.name);
    const call = (name: string): string =>
      `<tool_call>\n{"name": "${name}", "arguments": {"city": "Oslo", "days": 2}}\n</tool_call>`;
    let text = '';
    let count = 0;
    let word = '';
    const started = performance.now();
    for (const token of speak({ user, tools, mustCall: grammar.includes('call') }, call)) {
      if (request.isCancelled || count >= limit) break;
      await pause(this.tokenMs);
      word = stop.find((stop) => (text + token).includes(stop)) ?? '';
      if (word !== '') break;
      text += token;
      count += 1;
      const alternatives = [
        { tok_str: token, prob: 0.9 },
        { tok_str: ' other', prob: 0.05 },
        { tok_str: ' third', prob: 0.01 },
      ];
      const probabilities =
        probs === undefined
          ? {}
          : { completion_probabilities: [{ content: token, probs: alternatives.slice(0, probs) }] };
      onToken({ token, ...probabilities }, id);
    }
    this.running -= 1;
    this.#requests.delete(id);
    const ms = performance.now() - started;
    return {
      text,
      content: text,
      stopping_word: word,
      stopped_limit: count >= limit ? 1 : 0,
      interrupted: request.isCancelled,
      tokens_predicted: count,
      timings: {
        cache_n: 3,
        prompt_n: 10,
        prompt_ms: 5,
        prompt_per_second: 800,
        predicted_n: count,
        predicted_ms: ms,
        predicted_per_second: (count * 1000) / ms,
      },
    };
  }
}

export const llamaBindingNames = [
  'llamaInitContext',
  'llamaReleaseContext',
  'llamaReleaseAllContexts',
  'llamaModelInfo',
  'llamaGetBackendDevicesInfo',
  'llamaLoadSession',
  'llamaSaveSession',
  'llamaTokenize',
  'llamaDetokenize',
  'llamaGetFormattedChat',
  'llamaEmbedding',
  'llamaRerank',
  'llamaBench',
  'llamaToggleNativeLog',
  'llamaSetContextLimit',
  'llamaCompletion',
  'llamaStopCompletion',
  'llamaApplyLoraAdapters',
  'llamaRemoveLoraAdapters',
  'llamaGetLoadedLoraAdapters',
  'llamaInitMultimodal',
  'llamaIsMultimodalEnabled',
  'llamaGetMultimodalSupport',
  'llamaReleaseMultimodal',
  'llamaInitVocoder',
  'llamaIsVocoderEnabled',
  'llamaGetFormattedAudioCompletion',
  'llamaGetAudioCompletionGuideTokens',
  'llamaDecodeAudioTokens',
  'llamaReleaseVocoder',
  'llamaClearCache',
  'llamaEnableParallelMode',
  'llamaQueueCompletion',
  'llamaCancelRequest',
  'llamaQueueEmbedding',
  'llamaQueueRerank',
  'llamaGetParallelStatus',
  'llamaSubscribeParallelStatus',
  'llamaUnsubscribeParallelStatus',
];
