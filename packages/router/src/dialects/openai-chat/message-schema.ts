import * as z from 'zod';

import { maxParts } from '../json-fields.ts';

const cacheBreakpoint = z.object({ mode: z.literal('explicit') }).nullish();

/** A text part as every role may send it. */
export const textPart = z.object({
  type: z.literal('text'),
  text: z.string(),
  prompt_cache_breakpoint: cacheBreakpoint,
});

const refusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });

const imagePart = z.object({
  type: z.literal('image_url'),
  image_url: z.object({ url: z.string(), detail: z.enum(['auto', 'low', 'high']).nullish() }),
  prompt_cache_breakpoint: cacheBreakpoint,
});

const audioPart = z.object({
  type: z.literal('input_audio'),
  input_audio: z.object({ data: z.string(), format: z.enum(['wav', 'mp3']) }),
  prompt_cache_breakpoint: cacheBreakpoint,
});

const filePart = z.object({
  type: z.literal('file'),
  file: z.object({ filename: z.string().nullish(), file_data: z.string().nullish(), file_id: z.string().nullish() }),
  prompt_cache_breakpoint: cacheBreakpoint,
});

const contentForm = 'must be a string or a non-empty array of content parts';
const textContent = z.union([z.string(), z.array(textPart).min(1).max(maxParts)], contentForm);
const userPart = z.discriminatedUnion('type', [textPart, imagePart, audioPart, filePart]);
const assistantPart = z.discriminatedUnion('type', [textPart, refusalPart]);
const name = z.string().nullish();

/** Provider state on a call: our own answers carry it in the first place, some clients return it in the second. */
const signatureCarrier = z.looseObject({ thought_signature: z.string().nullish() }).nullish().catch(undefined);

const functionCall = z.object({ name: z.string().min(1), arguments: z.string() });

const toolCall = z.discriminatedUnion('type', [
  z.object({
    id: z.string().min(1),
    type: z.literal('function'),
    function: functionCall,
    extra_content: z.object({ google: signatureCarrier }).nullish().catch(undefined),
    provider_specific_fields: signatureCarrier,
  }),
  z.object({
    id: z.string().min(1),
    type: z.literal('custom'),
    custom: z.object({ name: z.string().min(1), input: z.string() }),
  }),
]);

/** One turn of the conversation as documented; unknown fields fall away. */
export const messageSchema = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer']), content: textContent, name }),
  z.object({
    role: z.literal('user'),
    content: z.union([z.string(), z.array(userPart).min(1).max(maxParts)], contentForm),
    name,
  }),
  z.object({
    role: z.literal('assistant'),
    content: z.union([z.string(), z.array(assistantPart).min(1).max(maxParts)], contentForm).nullish(),
    refusal: z.string().nullish(),
    name,
    audio: z.object({ id: z.string() }).nullish(),
    // Not of the document: what our own answers carry, and models that think while they work want back.
    reasoning_content: z.string().nullish().catch(undefined),
    tool_calls: z.array(toolCall).max(maxParts).nullish(),
    function_call: functionCall.nullish(),
  }),
  z.object({ role: z.literal('tool'), content: textContent, tool_call_id: z.string() }),
  z.object({ role: z.literal('function'), content: z.string().nullable(), name: z.string() }),
]);

export type WireMessage = z.infer<typeof messageSchema>;
export type WireAssistantMessage = Extract<WireMessage, { role: 'assistant' }>;
export type WireUserPart = z.infer<typeof userPart>;
