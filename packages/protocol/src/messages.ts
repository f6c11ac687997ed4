import * as z from 'zod';
import { textCodec } from './text-codec.ts';

/** Versions this build speaks, highest first. Adding fields is no new version. */
export const protocolVersions = [1] as const;

const count = z.number().int().nonnegative();
/** A hint: what does not fit is absent, and the message stands. */
const rate = z.number().nonnegative().optional().catch(undefined);
/** Chosen by the router; unique among its running requests on one link. */
const requestId = z.number().int().nonnegative();
const jsonObject = z.record(z.string(), z.unknown());

const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.string(),
  tool_calls: z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string() })).optional(),
  tool_call_id: z.string().optional(),
});

const tool = z.object({ name: z.string(), description: z.string().optional(), parameters: jsonObject.optional() });

const toolChoice = z.union([z.enum(['auto', 'none', 'required']), z.object({ name: z.string() })]);

const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), schema: jsonObject.optional() }),
]);

const score = z.object({
  token: z.string(),
  /** Natural logarithm, at most 0. */
  lp: z.number(),
  top: z.array(z.object({ token: z.string(), lp: z.number() })).optional(),
});

/** Pieces of an answer in order; adjacent text may be merged, never reordered. */
const part = z.discriminatedUnion('k', [
  z.object({ k: z.literal('text'), text: z.string() }),
  z.object({ k: z.literal('reasoning'), text: z.string() }),
  z.object({ k: z.literal('call'), index: count, id: z.string(), name: z.string() }),
  z.object({ k: z.literal('args'), index: count, json: z.string() }),
  z.object({ k: z.literal('call_end'), index: count, repaired: z.boolean().optional() }),
  z.object({
    k: z.literal('scores'),
    about: z.enum(['text', 'tool-call']),
    taken: z.enum(['raw', 'tempered', 'grammar']),
    scores: z.array(score),
  }),
]);

const usage = z.object({ prompt_tokens: count, completion_tokens: count, cached_tokens: count.optional() });

const modelInfo = z.object({
  id: z.string(),
  ctx: count,
  quant: z.string().optional(),
  caps: z.array(z.enum(['tools', 'json_schema', 'scores'])),
});

const error = z.object({
  t: z.literal('error'),
  id: requestId.optional(),
  code: z.enum([
    'busy',
    'cancelled',
    'deadline',
    'too_long',
    'no_model',
    'engine',
    'thermal',
    'battery',
    'bad_request',
    'internal',
    'unknown_type',
  ]),
  message: z.string(),
  retryable: z.boolean(),
});
const ping = z.object({ t: z.literal('ping'), n: count });
const pong = z.object({ t: z.literal('pong'), n: count });
const bye = z.object({ t: z.literal('bye'), code: z.string() });

/** Most bytes of JSON of a `self_report`; a larger one is absent. */
export const selfReportBytes = 1024;
const selfReport = z
  .unknown()
  .refine((value) => value !== null && textCodec().encode(JSON.stringify(value) ?? '').length <= selfReportBytes);

/** What of a self-report is usable: a confidence in 0..1, a hand-off that is true or false. */
export function readSelfReport(report: unknown): { readonly confidence?: number; readonly handOff?: boolean } {
  const { confidence, handoff } = usableReport.parse(report);
  return {
    ...(confidence === undefined ? {} : { confidence }),
    ...(handoff === undefined ? {} : { handOff: handoff }),
  };
}

const usableReport = z
  .object({
    confidence: z.number().min(0).max(1).optional().catch(undefined),
    handoff: z.boolean().optional().catch(undefined),
  })
  .catch({});

/** What a device host sends. Unknown fields are dropped. */
export const deviceMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('hello'),
    v: z.array(z.number().int()),
    role: z.literal('device'),
    device: z.string(),
    name: z.string(),
    app: z.string(),
    os: z.string(),
    engine: z.object({ name: z.string(), version: z.string() }),
    models: z.array(modelInfo),
    slots: count,
    queue_max: count,
    max_frame: count,
    features: z.array(z.string()),
  }),
  z.object({
    t: z.literal('state'),
    seq: count,
    model: z.string().optional(),
    loaded: z.boolean(),
    accepting: z.boolean(),
    /** Why it does not accept, in words for its owner. */
    why: z.string().optional(),
    models: z.array(modelInfo).optional(),
    active: count,
    queued: count,
    queued_tokens: count.optional(),
    /** Tokens per second, measured on real requests. */
    tps: z.object({ prefill: rate, decode: rate }).optional().catch(undefined),
    battery: z
      .object({ pct: z.number().min(0).max(100), charging: z.boolean(), saver: z.boolean().optional() })
      .optional()
      .catch(undefined),
    thermal: z
      .object({ status: z.number().int().min(0).max(6), headroom: z.number().optional() })
      .optional()
      .catch(undefined),
    mem_free_mb: count.optional().catch(undefined),
    net: z.string().optional().catch(undefined),
  }),
  z.object({
    t: z.literal('progress'),
    id: requestId.optional(),
    phase: z.enum(['download', 'load', 'prefill']),
    done: z.number().nonnegative(),
    total: z.number().nonnegative(),
    /** What is being fetched or loaded. */
    what: z.string().optional(),
  }),
  z.object({ t: z.literal('accepted'), id: requestId, position: count, eta_ms: z.number().nonnegative().optional() }),
  /** `n` counts the deltas of one request from 0 without gaps. */
  z.object({ t: z.literal('delta'), id: requestId, n: count, parts: z.array(part) }),
  z.object({
    t: z.literal('done'),
    id: requestId,
    finish_reason: z.enum(['stop', 'length', 'tool_calls']),
    usage,
    timing: z.object({ ttft_ms: rate, prefill_tps: rate, decode_tps: rate }).optional().catch(undefined),
    /** What the engine says of its answer, as it came; `readSelfReport` takes what is usable out of it. */
    self_report: selfReport.optional().catch(undefined),
  }),
  z.object({ t: z.literal('counted'), id: requestId, tokens: count, warm: count.optional() }),
  error,
  ping,
  pong,
  bye,
]);

/** What the router sends. */
export const routerMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('welcome'),
    v: z.number().int(),
    session: z.string(),
    heartbeat_ms: count,
    max_frame: count,
    policy: z.object({ min_battery: z.number(), max_thermal: z.number() }).partial().optional(),
  }),
  z.object({
    t: z.literal('complete'),
    id: requestId,
    model: z.string(),
    messages: z.array(message),
    tools: z.array(tool),
    tool_choice: toolChoice.optional(),
    response_format: responseFormat.optional(),
    max_tokens: z.number().int().positive().optional(),
    temperature: z.number().optional(),
    top_p: z.number().optional(),
    seed: z.number().int().optional(),
    frequency_penalty: z.number().optional(),
    presence_penalty: z.number().optional(),
    stop: z.array(z.string()).optional(),
    /**
     * Token scores wanted; `top` asks for that many alternatives with each. `first`: only to judge the answer by, for
     * which that many text tokens do, the calls begun among them, and none that a grammar has forced.
     */
    scores: z.object({ top: count, first: count.optional() }).optional(),
    /** Relative to receipt. */
    deadline_ms: z.number().positive().optional(),
    /** KV prefixes are shared only between requests of one key. */
    prefix_key: z.string().optional(),
  }),
  z.object({
    t: z.literal('count'),
    id: requestId,
    model: z.string(),
    messages: z.array(message),
    tools: z.array(tool),
    prefix_key: z.string().optional(),
  }),
  z.object({ t: z.literal('cancel'), id: requestId }),
  z.object({ t: z.literal('prefill'), model: z.string(), messages: z.array(message), tools: z.array(tool) }),
  z.object({ t: z.literal('load'), model: z.string() }),
  z.object({ t: z.literal('unload'), model: z.string() }),
  z.object({ t: z.literal('drain') }),
  error,
  ping,
  pong,
  bye,
]);

export type DeviceMessage = z.infer<typeof deviceMessage>;
export type RouterMessage = z.infer<typeof routerMessage>;
/** One message out of a union by its tag. */
export type MessageOf<M extends { t: string }, T extends M['t']> = Extract<M, { t: T }>;
export type WireMessage = z.infer<typeof message>;
export type WireTool = z.infer<typeof tool>;
export type AnswerPart = z.infer<typeof part>;
export type DeviceErrorCode = z.infer<typeof error>['code'];
export type ModelInfo = z.infer<typeof modelInfo>;
