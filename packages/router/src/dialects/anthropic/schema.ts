import * as z from 'zod';
import { jsonObject, maxParts } from '../json-fields.ts';

const text = z.object({ type: z.literal('text'), text: z.string() });

const data = [
  z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string().min(1) }),
  z.object({ type: z.literal('url'), url: z.string() }),
  z.object({ type: z.literal('file'), file_id: z.string() }),
] as const;

const image = z.object({ type: z.literal('image'), source: z.discriminatedUnion('type', data) });
const document = z.object({
  type: z.literal('document'),
  source: z.discriminatedUnion('type', [
    ...data,
    z.object({ type: z.literal('text'), media_type: z.string().nullish(), data: z.string() }),
    z.object({
      type: z.literal('content'),
      content: z.union([z.string(), z.array(z.discriminatedUnion('type', [text, image])).max(maxParts)]),
    }),
  ]),
  title: z.string().nullish(),
});
const searchResult = z.object({
  type: z.literal('search_result'),
  title: z.string().nullish(),
  source: z.string().nullish(),
  content: z.array(text).max(maxParts),
});
const toolReference = z.object({ type: z.literal('tool_reference'), tool_name: z.string() });
const resultBlock = z.discriminatedUnion('type', [text, image, document, searchResult, toolReference]);

const toolResult = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string().min(1),
  content: z.union([z.string(), z.array(resultBlock).max(maxParts)]).nullish(),
  is_error: z.boolean().nullish(),
});

const toolUse = z.object({
  type: z.literal('tool_use'),
  id: z.string().min(1),
  name: z.string().min(1),
  input: jsonObject,
});
const thinking = z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string().nullish() });
const redactedThinking = z.object({ type: z.literal('redacted_thinking'), data: z.string() });
const midSystem = z.object({
  type: z.literal('mid_conv_system'),
  text: z.string().nullish(),
  content: z.union([z.string(), z.array(text).max(maxParts)]).nullish(),
});

const tool = z.looseObject({
  type: z.string().nullish(),
  name: z.string().min(1).nullish(),
  description: z.string().nullish(),
  input_schema: jsonObject.nullish(),
  strict: z.boolean().nullish(),
  defer_loading: z.boolean().nullish(),
});

const named = z.object({ type: z.literal('tool_reference'), name: z.string().min(1) });
const ofMcp = z.object({ type: z.enum(['mcp_tool_reference', 'mcp_toolset_reference']) });
const defined = z.object({ type: z.literal('tool_definition'), definition: tool });

/** From here on a tool is offered, or is not any more. */
const toolAddition = z.object({
  type: z.literal('tool_addition'),
  tool: z.discriminatedUnion('type', [named, ofMcp, defined]),
});
const toolRemoval = z.object({ type: z.literal('tool_removal'), tool: z.discriminatedUnion('type', [named, ofMcp]) });

const known = z.discriminatedUnion('type', [
  text,
  image,
  document,
  searchResult,
  toolResult,
  toolUse,
  thinking,
  redactedThinking,
  midSystem,
  toolAddition,
  toolRemoval,
]);

/** What the provider's own servers wrote into a history: nothing here can read it, and nothing needs it. */
const serverBlock = z.object({
  type: z
    .string()
    .regex(/^(server_tool_use|mcp_tool_use|mcp_tool_listing|container_upload|compaction|fallback|\w+_tool_result)$/),
});

const block = z.union([known, serverBlock.transform(() => ({ type: 'server' as const }))], 'is of an unknown type');
const content = z.union([z.string(), z.array(block).max(maxParts)], 'must be a string or an array of blocks');

const effort = z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish();

const message = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['user', 'assistant']), content }),
  z.object({
    role: z.literal('system'),
    content: content.nullish(),
    clear_at: z.enum(['next_user_message', 'never']).nullish(),
    output_config: z.looseObject({ effort }).nullish(),
  }),
]);

const parallel = { disable_parallel_tool_use: z.boolean().nullish() };
const toolChoice = z.discriminatedUnion('type', [
  z.object({ type: z.literal('auto'), ...parallel }),
  z.object({ type: z.literal('any'), ...parallel }),
  z.object({ type: z.literal('tool'), name: z.string().min(1), ...parallel }),
  z.object({ type: z.literal('none') }),
]);

const outputFormat = z.object({ type: z.literal('json_schema'), schema: jsonObject });

const thinkingConfig = z.discriminatedUnion('type', [
  z.object({ type: z.literal('disabled') }),
  z.object({ type: z.enum(['adaptive', 'between_tools']), display: z.string().nullish() }),
  z.object({ type: z.literal('enabled'), budget_tokens: z.number().int().min(1024).nullish() }),
]);

export interface MessagesLimits {
  readonly messages: number;
  readonly tools: number;
}

/** The body of `POST /v1/messages`. Unknown fields fall away; null is absence but for `max_tokens` and `messages`. */
export function messagesBodySchema(limits: MessagesLimits) {
  return z.object({
    model: z.string().nullish(),
    max_tokens: z.number().int().min(1),
    messages: z.array(message).min(1).max(limits.messages),
    system: z.union([z.string(), z.array(text).max(maxParts)]).nullish(),
    tools: z.array(tool).max(limits.tools).nullish(),
    tool_choice: toolChoice.nullish(),
    temperature: z.number().min(0).max(1).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    top_k: z.number().int().min(0).nullish(),
    stop_sequences: z.array(z.string()).max(8192).nullish(),
    stream: z.boolean().nullish(),
    output_config: z
      .looseObject({
        format: outputFormat.nullish(),
        effort,
      })
      .nullish(),
    output_format: outputFormat.nullish(),
    thinking: thinkingConfig.nullish(),
    /** Checked by the reader of hints, where null is not absence; `user_id` is of any length. */
    metadata: jsonObject.nullish(),
    service_tier: z.string().nullish(),
    container: z.unknown().optional(),
    mcp_servers: z.array(z.unknown()).max(maxParts).nullish(),
  });
}

/** The body of `POST /v1/messages/count_tokens`: the same without a length. */
export function countBodySchema(limits: MessagesLimits) {
  return messagesBodySchema(limits).extend({ max_tokens: z.number().int().min(1).nullish() });
}

export type MessagesBody = z.infer<ReturnType<typeof messagesBodySchema>>;
export type CountBody = z.infer<ReturnType<typeof countBodySchema>>;
export type WireBlock = z.infer<typeof block>;
export type WireMessage = z.infer<typeof message>;
export type WireResultBlock = z.infer<typeof resultBlock>;
