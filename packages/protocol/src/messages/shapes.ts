import * as z from 'zod';

/** A whole number from 0. */
export const count = z.number().int().nonnegative();
/** Chosen by the router; unique within a session. */
export const requestId = z.number().int().nonnegative();
/** 16 random bytes as base64url. */
export const randomId = z.string().regex(/^[A-Za-z0-9_-]{21}[AQgw]$/);
const jsonObject = z.record(z.string(), z.unknown());

/** One message of a conversation. */
export const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.string(),
  tool_calls: z.array(z.object({ id: z.string(), name: z.string(), arguments: z.string() })).optional(),
  tool_call_id: z.string().optional(),
});

/** A function the model may call. */
export const tool = z.object({
  name: z.string(),
  description: z.string().optional(),
  parameters: jsonObject.optional(),
});

/** Whether and what must be called. */
export const toolChoice = z.union([z.enum(['auto', 'none', 'required']), z.object({ name: z.string() })]);

/** What form the answer must have. */
export const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), schema: jsonObject.optional() }),
]);

/** A token that could have been; `id` where the engine tells it, since control tokens have no text. */
const alternative = z.object({
  id: count.optional(),
  token: z.string(),
  /** Natural logarithm, at most 0. */
  lp: z.number(),
});

const score = alternative.extend({
  /** What the token is within a call; absent: structure, or no call. */
  span: z.enum(['decision', 'name', 'key', 'value', 'after-value', 'stop']).optional(),
  /** Index of the call it belongs to. */
  call: count.optional(),
  /** JSON pointer of the argument it is a value of. */
  path: z.string().optional(),
  /** Probability that the grammar allowed. */
  mass: z.number().optional(),
  top: z.array(alternative).optional(),
});

/** Pieces of an answer in order; adjacent text may be merged, never reordered. */
export const part = z.discriminatedUnion('k', [
  z.object({ k: z.literal('text'), text: z.string() }),
  z.object({ k: z.literal('reasoning'), text: z.string() }),
  z.object({ k: z.literal('call'), index: count, id: z.string(), name: z.string() }),
  z.object({ k: z.literal('args'), index: count, json: z.string() }),
  z.object({ k: z.literal('call_end'), index: count, repaired: z.boolean().optional() }),
  z.object({
    k: z.literal('scores'),
    of: z.enum(['text', 'reasoning', 'call']),
    taken: z.enum(['raw', 'tempered', 'grammar']),
    scores: z.array(score),
  }),
]);

/** What a request asks scores of. */
export const wantedScores = z.object({
  /** The first so many text tokens. */
  text: count,
  /** All tokens of calls. */
  calls: z.boolean(),
  /** Alternatives with each. */
  alternatives: count,
});

/** As `text` of wanted scores: all there are. */
export const allTextTokens = 1_000_000;

/** Codes of `error`. */
export const errorCodes = [
  'busy',
  'loading',
  'thermal',
  'battery',
  'memory',
  'paused',
  'draining',
  'preempted',
  'too_long',
  'bad_request',
  'no_model',
  'unsupported',
  'engine',
  'internal',
  'lost',
  'cancelled',
  'deadline',
  'unknown_type',
] as const;

/** Why a device accepts nothing. */
export const pauseCodes = [
  'battery',
  'saver',
  'thermal',
  'memory',
  'paused',
  'draining',
  'loading',
  'no_model',
  'network',
] as const;

/** What the code of a request's end means: unknown ones of later versions are failures of the device. */
export type DeviceErrorCode = (typeof errorCodes)[number];
export type PauseCode = (typeof pauseCodes)[number];

export const ping = z.object({ t: z.literal('ping'), n: count });
export const pong = z.object({ t: z.literal('pong'), n: count });
export const bye = z.object({
  t: z.literal('bye'),
  code: z.string(),
  /** When to dial again. */
  after_ms: count.optional().catch(undefined),
});

/** Codes of `bye`. */
export const byeCodes = [
  'closing',
  'restarting',
  'replaced',
  'revoked',
  'unpaired',
  'duplicate_identity',
  'unsupported_version',
  'bad_hello',
  'no_hello',
  'silent',
  'write_stalled',
  'bad_frame',
  'frame_too_large',
  'bad_json',
  'bad_message',
  'busy',
] as const;

export type ByeCode = (typeof byeCodes)[number];

/** After such a word of either side the session is over: nobody returns to it. */
export const lastWords: ReadonlySet<string> = new Set<ByeCode>([
  'closing',
  'restarting',
  'replaced',
  'revoked',
  'unpaired',
  'duplicate_identity',
]);
