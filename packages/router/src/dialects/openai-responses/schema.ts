import * as z from 'zod';
import { jsonObject, maxParts } from '../json-fields.ts';

const inputPart = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['input_text', 'output_text', 'text', 'summary_text', 'reasoning_text']), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.object({
    type: z.literal('input_image'),
    image_url: z.string().nullish(),
    file_id: z.string().nullish(),
    detail: z.enum(['auto', 'low', 'high', 'original']).nullish(),
  }),
  z.object({
    type: z.literal('input_file'),
    file_data: z.string().nullish(),
    file_id: z.string().nullish(),
    file_url: z.string().nullish(),
    filename: z.string().nullish(),
  }),
]);

const parts = z.union([z.string(), z.array(inputPart).max(maxParts)], 'must be a string or an array of content parts');

const message = z.object({
  type: z.literal('message'),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: parts,
});

const tool = z.looseObject({ type: z.string() });

/** Texts of a thought; whatever else it holds is its provider's. */
const thoughts = z
  .array(z.object({ text: z.string() }))
  .max(maxParts)
  .nullish()
  .catch(undefined);

const knownItem = z.discriminatedUnion('type', [
  message,
  z.object({
    type: z.literal('function_call'),
    call_id: z.string().min(1),
    name: z.string().min(1),
    namespace: z.string().nullish(),
    arguments: z.string(),
  }),
  z.object({
    type: z.literal('custom_tool_call'),
    call_id: z.string().min(1),
    name: z.string().min(1),
    namespace: z.string().nullish(),
    input: z.string(),
  }),
  z.object({ type: z.literal('function_call_output'), call_id: z.string().min(1), output: parts }),
  z.object({ type: z.literal('custom_tool_call_output'), call_id: z.string().min(1), output: parts }),
  z.object({ type: z.literal('reasoning'), summary: thoughts, content: thoughts }),
  z.object({ type: z.literal('item_reference'), id: z.string().nullish() }),
  z.object({
    type: z.literal('additional_tools'),
    role: z.string().nullish(),
    tools: z.array(tool).max(maxParts),
  }),
]);

const knownTypes = new Set<unknown>(knownItem.options.map((option) => option.shape.type.value));

/** An item without a type but with a role is a message; one of a type that nobody knows yet is skipped by the reader. */
const item = z.preprocess(
  (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    if (!('type' in value) || value.type === null || value.type === undefined) return { ...value, type: 'message' };
    return knownTypes.has(value.type)
      ? value
      : { type: 'unknown', was: typeof value.type === 'string' ? value.type.slice(0, 64) : typeof value.type };
  },
  z.discriminatedUnion('type', [...knownItem.options, z.object({ type: z.literal('unknown'), was: z.string() })]),
);

const effort = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']);

const textFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes'),
    description: z.string().nullish(),
    schema: jsonObject,
    strict: z.boolean().nullish(),
  }),
]);

const toolChoice = z.union(
  [z.enum(['none', 'auto', 'required']), z.looseObject({ type: z.string() })],
  'must be none, auto, required or an object naming a tool',
);

export interface ResponsesLimits {
  readonly messages: number;
  readonly tools: number;
}

/** The body of `POST /v1/responses`. Unknown fields fall away; null is absence but for `input`. */
export function responsesBodySchema(limits: ResponsesLimits) {
  return z.object({
    model: z.string().nullish(),
    input: z.union([z.string(), z.array(item).max(limits.messages)], 'must be a string or an array of items'),
    instructions: z.string().nullish(),
    tools: z.array(tool).max(limits.tools).nullish(),
    tool_choice: toolChoice.nullish(),
    parallel_tool_calls: z.boolean().nullish(),
    text: z
      .looseObject({ format: textFormat.nullish(), verbosity: z.enum(['low', 'medium', 'high']).nullish() })
      .nullish(),
    max_output_tokens: z.number().int().min(1).nullish(),
    temperature: z.number().min(0).max(2).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_logprobs: z.number().int().min(0).max(20).nullish(),
    reasoning: z.looseObject({ effort: effort.nullish(), summary: z.string().nullish() }).nullish(),
    stream: z.boolean().nullish(),
    stream_options: jsonObject.nullish(),
    background: z.boolean().nullish(),
    previous_response_id: z.string().nullish(),
    conversation: z.union([z.string(), jsonObject]).nullish(),
    prompt: jsonObject.nullish(),
    /** Checked by the reader of hints, where null is not absence. */
    metadata: jsonObject.nullish(),
    user: z.string().nullish(),
    safety_identifier: z.string().nullish(),
    prompt_cache_key: z.string().nullish(),
    service_tier: z.string().nullish(),
  });
}

export type ResponsesBody = z.infer<ReturnType<typeof responsesBodySchema>>;
export type WireItem = z.infer<typeof item>;
export type WireParts = z.infer<typeof parts>;
