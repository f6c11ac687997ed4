import * as z from 'zod';
import { bye, count, errorCodes, message, ping, pong, randomId, requestId } from './shapes.ts';
import { responseFormat, tool, toolChoice, wantedScores } from './shapes.ts';

/** What the model reads. */
const prompt = {
  id: requestId,
  model: z.string(),
  messages: z.array(message),
  tools: z.array(tool),
  /** Prefixes of the prompt in the KV cache are shared only between requests of one key. */
  prefix_key: z.string().optional(),
};

/** Hashes of the prompt's beginning up to so many messages: what the device reports as warm. */
const prefix = z.array(z.object({ h: z.string(), messages: count })).optional();
/** Most routers that one device serves, the one it was paired with included. */
export const maxRouters = 8;
/** Others of the same owner, which the device dials as known. */
const routers = z.array(
  z.object({ name: z.string(), key: z.string(), hosts: z.array(z.string()), port: z.number().int() }),
);

/** What the router sends. Unknown fields are dropped. */
export const routerMessage = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('welcome'),
    v: z.number().int(),
    session: randomId,
    resumed: z.boolean(),
    /** Requests still wanted, and the number expected next of each. */
    resume: z.array(z.object({ id: requestId, n: count })),
    heartbeat_ms: count,
    grace_ms: count,
    max_frame: count,
    router: z.object({ id: z.string(), name: z.string(), version: z.string() }),
    device: z.object({ id: z.string(), name: z.string() }),
    /** May tighten the gates of the device's owner. */
    policy: z.object({ min_battery: z.number().optional(), max_thermal: z.number().optional() }).optional(),
    routers: routers.optional(),
    /** Those of `hello` that will be used. */
    features: z.array(z.string()),
  }),
  z.object({
    t: z.literal('complete'),
    ...prompt,
    lane: z.enum(['interactive', 'background']),
    tool_choice: toolChoice.optional(),
    response_format: responseFormat.optional(),
    max_tokens: z.number().int().positive().optional(),
    temperature: z.number().optional(),
    top_p: z.number().optional(),
    seed: z.number().int().optional(),
    frequency_penalty: z.number().optional(),
    presence_penalty: z.number().optional(),
    stop: z.array(z.string()).optional(),
    /** To be gone on with as it stands instead of the conversation, up to the suffix; only to models with these abilities. */
    text: z.object({ prompt: z.string(), suffix: z.string().optional() }).optional(),
    scores: wantedScores.optional(),
    /** Relative to receipt. */
    deadline_ms: z.number().positive().optional(),
    prefix,
  }),
  /** Everything numbered below `n` has arrived. */
  z.object({ t: z.literal('ack'), id: requestId, n: count }),
  z.object({ t: z.literal('count'), ...prompt }),
  z.object({ t: z.literal('prefill'), ...prompt, prefix }),
  /** Vectors of these texts; answered by `embedded`. `truncate` cuts a text that is too long instead of refusing it. */
  z.object({
    t: z.literal('embed'),
    id: requestId,
    model: z.string(),
    inputs: z.array(z.string()),
    truncate: z.boolean().optional(),
  }),
  z.object({ t: z.literal('load'), id: requestId, model: z.string() }),
  z.object({ t: z.literal('unload'), id: requestId, model: z.string() }),
  z.object({ t: z.literal('cancel'), id: requestId }),
  /** They have changed since `welcome`; sent where `hello.features` has `routers`. */
  z.object({ t: z.literal('routers'), routers }),
  /** For the device's screen; the router drains by sending nothing new. */
  z.object({ t: z.literal('drain'), on: z.boolean() }),
  z.object({
    t: z.literal('error'),
    id: requestId.optional(),
    code: z.enum(errorCodes).catch('internal'),
    message: z.string(),
    retryable: z.boolean(),
  }),
  ping,
  pong,
  bye,
]);
