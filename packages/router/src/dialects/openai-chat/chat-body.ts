import * as z from 'zod';

import { jsonObject, maxParts } from '../json-fields.ts';
import { messageSchema, textPart } from './message-schema.ts';

/** How many of each a body may hold. */
export interface BodyLimits {
  readonly messages: number;
  readonly tools: number;
}

const identifier = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of a-z, A-Z, 0-9, underscore and dash');
const flag = z.boolean().nullish();
const tokenLimit = z.number().int().min(1).max(0x7fff_ffff).nullish();
const penalty = z.number().min(-2).max(2).nullish();

export const logitBias = jsonObject
  .refine((biases) => Object.keys(biases).length <= maxParts, `must hold at most ${maxParts} tokens`)
  .pipe(z.record(z.string(), z.number().int().min(-100).max(100)));

const functionSpec = z.object({
  name: identifier,
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  strict: flag,
});

const customFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({
    type: z.literal('grammar'),
    grammar: z.object({ definition: z.string(), syntax: z.enum(['lark', 'regex']) }),
  }),
]);

/** As the Responses API writes it; some agents mix both. */
const flatTool = z
  .object({ type: z.literal('function'), ...functionSpec.shape })
  .transform(({ type, ...spec }) => ({ type, function: spec }));

const nestedTool = z.discriminatedUnion('type', [
  z.object({ type: z.literal('function'), function: functionSpec }),
  z.object({
    type: z.literal('custom'),
    custom: z.object({ name: z.string().min(1), description: z.string().nullish(), format: customFormat.nullish() }),
  }),
]);

const flatCustomTool = z
  .object({ type: z.literal('custom'), name: z.string().min(1) })
  .transform(({ type, name }) => ({ type, custom: { name } }));

/** Of a type that only a provider's own servers know. */
const otherType = z.string().regex(/^(?!(function|custom)$)/);
const otherTool = z.object({ type: otherType }).transform(({ type }) => ({ type: 'other' as const, was: type }));

const tool = z.union([nestedTool, flatTool, flatCustomTool, otherTool]);

const named = z.object({ name: z.string().min(1) });

/** As the Responses API writes it. */
const flatChoice = z
  .object({ type: z.literal('function'), name: z.string().min(1) })
  .transform(({ type, name }) => ({ type, function: { name } }));

const toolChoice = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.discriminatedUnion('type', [
      z.object({ type: z.literal('function'), function: named }),
      z.object({ type: z.literal('custom'), custom: named }),
      z.object({
        type: z.literal('allowed_tools'),
        allowed_tools: z.object({ mode: z.enum(['auto', 'required']), tools: z.array(jsonObject).max(maxParts) }),
      }),
    ]),
    flatChoice,
    flatCustomTool,
  ],
  'must be none, auto, required, or an object naming a tool or the allowed tools',
);

const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: identifier,
      description: z.string().nullish(),
      schema: jsonObject.nullish(),
      strict: flag,
    }),
  }),
]);

const webSearch = z.object({
  user_location: z
    .object({
      type: z.literal('approximate'),
      approximate: z.object({
        country: z.string().nullish(),
        region: z.string().nullish(),
        city: z.string().nullish(),
        timezone: z.string().nullish(),
      }),
    })
    .nullish(),
  search_context_size: z.enum(['low', 'medium', 'high']).nullish(),
});

const moderationPolicy = z.object({ mode: z.enum(['score', 'block']) }).nullish();

/** Documented fields no backend of ours can honour: held to the document all the same, then named in a warning. */
const unusedFields = {
  audio: z
    .object({
      voice: z.union([z.string(), z.strictObject({ id: z.string() })]),
      format: z.enum(['wav', 'aac', 'mp3', 'flac', 'opus', 'pcm16']),
    })
    .nullish(),
  modalities: z
    .array(z.enum(['text', 'audio']))
    .max(2)
    .nullish(),
  moderation: z
    .object({
      model: z.string(),
      policy: z.object({ input: moderationPolicy, output: moderationPolicy }).nullish(),
    })
    .nullish(),
  prediction: z
    .object({ type: z.literal('content'), content: z.union([z.string(), z.array(textPart).min(1).max(maxParts)]) })
    .nullish(),
  prompt_cache_options: z
    .object({ ttl: z.literal('30m').nullish(), mode: z.enum(['implicit', 'explicit']).nullish() })
    .nullish(),
  prompt_cache_retention: z.enum(['in_memory', '24h']).nullish(),
  safety_identifier: z.string().max(64).nullish(),
  service_tier: z.enum(['auto', 'default', 'flex', 'scale', 'priority', 'fast']).nullish(),
  store: flag,
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
  web_search_options: webSearch.nullish(),
};

/** The whole documented request. Unknown fields fall away; null on an optional field is its absence. */
export function chatBodySchema(limits: BodyLimits) {
  return z.object({
    ...unusedFields,
    messages: z.array(messageSchema).min(1).max(limits.messages),
    model: z.string().nullish(),
    /** Checked by `readMetadata`, where null is not absence. */
    metadata: jsonObject.nullish(),
    frequency_penalty: penalty,
    presence_penalty: penalty,
    function_call: z.union([z.enum(['none', 'auto']), named], 'must be none, auto or {name}').nullish(),
    functions: z
      .array(functionSpec.omit({ strict: true }))
      .min(1)
      .max(128)
      .nullish(),
    logit_bias: logitBias.nullish(),
    logprobs: flag,
    top_logprobs: z.number().int().min(0).max(20).nullish(),
    max_completion_tokens: tokenLimit,
    max_tokens: tokenLimit,
    n: z.number().int().min(1).max(128).nullish(),
    parallel_tool_calls: flag,
    prompt_cache_key: z.string().nullish(),
    reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
    response_format: responseFormat.nullish(),
    // JSON numbers beyond 2^53 have lost their low digits already; they are seeds all the same.
    seed: z
      .number()
      .min(-9223372036854776000)
      .max(9223372036854776000)
      .refine(Number.isInteger, 'expected an integer')
      .nullish(),
    stop: z.union([z.string(), z.array(z.string()).min(1).max(5)], 'must be a string or 1 to 5 strings').nullish(),
    stream: flag,
    stream_options: z.object({ include_usage: flag, include_obfuscation: flag }).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    tool_choice: toolChoice.nullish(),
    tools: z.array(tool).max(limits.tools).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    user: z.string().nullish(),
  });
}

export type ChatBody = z.infer<ReturnType<typeof chatBodySchema>>;
