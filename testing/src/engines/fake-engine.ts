import { ScriptedUpstream } from '../scripted-upstream.ts';
import { at } from '../sse.ts';
import type { Exchange, ReceivedRequest, Script } from '../upstream/exchange.ts';

/** What each engine answers in its own words. */
interface Shapes {
  readonly models: (model: string, contextTokens: number) => object;
  /** Fields of a choice beside those of OpenAI's wire. */
  readonly choice: object;
  readonly finish: object;
  readonly chunk: object;
  readonly metrics: (load: Load, model: string) => string;
  readonly tooLong: (tokens: number, contextTokens: number) => Refusal;
  readonly unknownModel: (model: string) => Refusal;
  readonly full: Refusal;
  readonly headers: Readonly<Record<string, string>>;
}

interface Load {
  readonly running: number;
  readonly waiting: number;
  readonly slots: number;
}

/** A body of JSON, or a text as proxies write it. */
interface Refusal {
  readonly status: number;
  readonly body: object | string;
}

export type FakeEngineKind = 'vllm' | 'sglang' | 'inference-gateway';

export interface FakeEngineOptions {
  readonly kind: FakeEngineKind;
  readonly model: string;
  readonly contextTokens: number;
  /** Requests it works on at once. */
  readonly slots: number;
  /** Requests that may wait there; more are refused. */
  readonly queue: number;
  /** Milliseconds a request takes once it runs. */
  readonly answerMs: number;
}

/**
 * A server that behaves as an inference engine does, or as a gateway before several: it works on some requests at once,
 * lets others wait, says so in its metrics, and answers and refuses in the shapes of that engine.
 */
export class FakeEngine {
  readonly #options: FakeEngineOptions;
  readonly #upstream: ScriptedUpstream;
  readonly #shapes: Shapes;
  readonly #chats: ReceivedRequest[] = [];
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #foreign = 0;
  #metricsReads = 0;
  /** Answers its metrics never while this holds. */
  hasStalledMetrics = false;

  static async start(options: FakeEngineOptions): Promise<FakeEngine> {
    return new FakeEngine(options, await ScriptedUpstream.start());
  }

  private constructor(options: FakeEngineOptions, upstream: ScriptedUpstream) {
    this.#options = options;
    this.#upstream = upstream;
    this.#shapes = shapesOf[options.kind];
    const script: Script = (exchange) => this.#serve(exchange);
    upstream.always(script);
  }

  get origin(): string {
    return this.#upstream.origin;
  }

  /** Chats received so far, refused ones included. */
  get chats(): readonly ReceivedRequest[] {
    return this.#chats;
  }

  get metricsReads(): number {
    return this.#metricsReads;
  }

  /** Others give it so many requests, which stay until told otherwise. */
  occupy(requests: number): void {
    this.#foreign = requests;
    const room = this.#options.slots - requests - this.#running;
    for (const start of this.#queue.splice(0, Math.max(0, room))) start();
  }

  close(): Promise<void> {
    return this.#upstream.close();
  }

  get #load(): Load {
    const { slots } = this.#options;
    const all = this.#running + this.#queue.length + this.#foreign;
    return { running: Math.min(slots, all), waiting: Math.max(0, all - slots), slots };
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { model, contextTokens } = this.#options;
    const { method, path } = exchange.request;
    if (path === '/health') return exchange.finish();
    if (path === '/v1/models')
      return exchange.json(200, this.#shapes.models(model, contextTokens), this.#shapes.headers);
    if (path === '/metrics') return this.#sayLoad(exchange);
    if (method !== 'POST' || path !== '/v1/chat/completions') return exchange.json(404, { detail: 'Not Found' });
    await this.#chat(exchange);
  }

  async #sayLoad(exchange: Exchange): Promise<void> {
    this.#metricsReads++;
    if (this.hasStalledMetrics) return exchange.silence();
    exchange.head(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
    exchange.finish(this.#shapes.metrics(this.#load, this.#options.model));
  }

  async #chat(exchange: Exchange): Promise<void> {
    this.#chats.push(exchange.request);
    const { model, contextTokens, queue, slots, answerMs } = this.#options;
    const { json, text } = exchange.request;
    const asked = at(json, 'model');
    if (asked !== model) return this.#refuse(exchange, this.#shapes.unknownModel(String(asked)));
    const tokens = Math.ceil(text.length / 4);
    if (tokens > contextTokens) return this.#refuse(exchange, this.#shapes.tooLong(tokens, contextTokens));
    if (this.#running + this.#foreign >= slots) {
      if (this.#queue.length >= queue) return this.#refuse(exchange, this.#shapes.full);
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#running++;
    await exchange.pause(answerMs);
    this.#running--;
    this.#queue.shift()?.();
    if (exchange.end !== undefined) return;
    await this.#answer(exchange, tokens);
  }

  #refuse(exchange: Exchange, { status, body }: Refusal): void {
    if (typeof body === 'object') return exchange.json(status, body, this.#shapes.headers);
    exchange.head(status, { 'content-type': 'text/plain', ...this.#shapes.headers });
    exchange.finish(body);
  }

  async #answer(exchange: Exchange, promptTokens: number): Promise<void> {
    const { model } = this.#options;
    const { chunk, choice, finish, headers } = this.#shapes;
    const { json } = exchange.request;
    const usage = { prompt_tokens: promptTokens, total_tokens: promptTokens + 2, completion_tokens: 2 };
    const head = (object: string) => ({ id: 'chatcmpl-4f1c', object, created: 1_764_000_000, model, ...chunk });
    if (at(json, 'stream') !== true) {
      const message = { role: 'assistant', content: 'It is.', refusal: null, tool_calls: [], reasoning_content: null };
      const choices = [{ index: 0, message, logprobs: null, finish_reason: 'stop', ...finish }];
      return exchange.json(200, { ...head('chat.completion'), choices, usage }, headers);
    }
    exchange.head(200, { 'content-type': 'text/event-stream; charset=utf-8', ...headers });
    const say = (delta: object, more: object): Promise<void> => {
      const choices = [{ index: 0, delta, logprobs: null, finish_reason: null, ...more }];
      return exchange.write(`data: ${JSON.stringify({ ...head('chat.completion.chunk'), choices })}\n\n`);
    };
    await say({ role: 'assistant', content: '' }, choice);
    await say({ content: 'It' }, choice);
    await say({ content: ' is.' }, choice);
    await say({ content: '' }, { finish_reason: 'stop', ...finish });
    const last = { ...head('chat.completion.chunk'), choices: [], usage };
    exchange.finish(`data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
  }
}

/** `vllm serve` 0.11 and later, whose errors are in an envelope. */
const vllm: Shapes = {
  models: (id, max_model_len) => ({
    object: 'list',
    data: [
      {
        id,
        object: 'model',
        created: 1_764_000_000,
        owned_by: 'vllm',
        root: id,
        parent: null,
        max_model_len,
        permission: [{ id: 'modelperm-1', object: 'model_permission', allow_sampling: true, organization: '*' }],
      },
    ],
  }),
  choice: { token_ids: null },
  finish: { stop_reason: null, token_ids: null },
  chunk: { service_tier: null, system_fingerprint: null, prompt_logprobs: null, kv_transfer_params: null },
  metrics: (
    { running, waiting, slots },
    model,
  ) => `# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="${model}"} ${running}.0
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="${model}"} ${waiting}.0
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="${model}"} ${running / slots / 2}
# HELP vllm:e2e_request_latency_seconds Histogram of e2e request latency in seconds.
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="+Inf",model_name="${model}"} 4.0
`,
  tooLong: (tokens, context) => ({
    status: 400,
    body: {
      error: {
        message: `This model's maximum context length is ${context} tokens. However, your request has ${tokens} input tokens. Please reduce the length of the input messages.`,
        type: 'BadRequestError',
        param: null,
        code: 400,
      },
    },
  }),
  unknownModel: (model) => ({
    status: 404,
    body: {
      error: { message: `The model \`${model}\` does not exist.`, type: 'NotFoundError', param: 'model', code: 404 },
    },
  }),
  full: {
    status: 503,
    body: { error: { message: 'Engine is overloaded.', type: 'ServiceUnavailableError', param: null, code: 503 } },
  },
  headers: { server: 'uvicorn' },
};

/** `sglang.launch_server` 0.5, whose errors are without an envelope. */
const sglang: Shapes = {
  models: (id, max_model_len) => ({
    object: 'list',
    data: [{ id, object: 'model', created: 1_764_000_000, owned_by: 'sglang', root: id, parent: null, max_model_len }],
  }),
  choice: { matched_stop: null },
  finish: { matched_stop: 151_645 },
  chunk: { metadata: { weight_version: 'default' } },
  metrics: ({ running, waiting, slots }, model) => `# HELP sglang:num_running_reqs The number of running requests.
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="${model}",tp_rank="0"} ${running}.0
# HELP sglang:token_usage The token usage.
# TYPE sglang:token_usage gauge
sglang:token_usage{engine_type="unified",model_name="${model}",tp_rank="0"} ${(running / slots / 2).toFixed(2)}
# HELP sglang:num_queue_reqs The number of requests in the waiting queue.
# TYPE sglang:num_queue_reqs gauge
sglang:num_queue_reqs{engine_type="unified",model_name="${model}",tp_rank="0"} ${waiting}.0
`,
  tooLong: (tokens, context) => ({
    status: 400,
    body: {
      object: 'error',
      message: `The input (${tokens} tokens) is longer than the model's context length (${context} tokens).`,
      type: 'BadRequestError',
      param: null,
      code: 400,
    },
  }),
  unknownModel: (model) => ({
    status: 404,
    body: {
      object: 'error',
      message: `Model '${model}' not found`,
      type: 'invalid_request_error',
      param: 'model',
      code: 404,
    },
  }),
  full: {
    status: 503,
    body: {
      object: 'error',
      message: 'The request queue is full.',
      type: 'SERVICE_UNAVAILABLE',
      param: null,
      code: 503,
    },
  },
  headers: { server: 'uvicorn' },
};

/** Envoy with the endpoint picker of the Gateway API Inference Extension, before vLLM: its own refusals are text. */
const inferenceGateway: Shapes = {
  ...vllm,
  unknownModel: () => ({ status: 404, body: '' }),
  full: {
    status: 429,
    body: 'inference gateway: InferencePoolResourceExhausted - failed to find candidate pods for serving the request',
  },
  headers: { server: 'envoy', 'x-envoy-upstream-service-time': '12', 'x-went-into-resp-headers': 'true' },
};

const shapesOf: Readonly<Record<FakeEngineKind, Shapes>> = {
  vllm,
  sglang,
  'inference-gateway': inferenceGateway,
};
