import { allTextTokens } from '@lfo/protocol';
import type { MessageOf, RouterMessage, WireMessage, WireTool } from '@lfo/protocol';
import type { CallContext, Capabilities } from '../../../core/backend.ts';
import { BackendError } from '../../../core/errors.ts';
import { prefixHashes } from '../../../core/prefix-hashes.ts';
import { textOf } from '../../../core/request.ts';
import type { ChatRequest, Message, ResponseFormat, Sampling, ToolChoice } from '../../../core/request.ts';
import { warnOfMessage, warnOfOne, warnOfRareSampling, withoutInfill } from '../../../core/unused-fields.ts';

type Complete = MessageOf<RouterMessage, 'complete'>;

/** The part of a request that becomes prompt tokens. */
export interface WirePrompt {
  readonly messages: WireMessage[];
  readonly tools: WireTool[];
  readonly prefix_key?: string;
}

/**
 * Translates what the model reads.
 * @throws BackendError `rejected` where a message holds more than text.
 */
export function wirePrompt(
  request: ChatRequest,
  backend: string,
  prefixKey: (clientKey: string) => string = (clientKey) => clientKey,
): WirePrompt {
  const { clientKey } = request.hints;
  return {
    messages: request.messages.map((message) => wireMessage(message, backend)),
    tools: request.tools.map(({ name, description, parameters }) => ({
      name,
      ...(description === undefined ? {} : { description }),
      ...(parameters === undefined ? {} : { parameters: { ...parameters } }),
    })),
    ...(clientKey === undefined ? {} : { prefix_key: prefixKey(clientKey) }),
  };
}

/**
 * Translates a request for one device; parameters it cannot honour are named to `call.warn`.
 * @throws BackendError `rejected` where a message holds more than text.
 */
export function completeMessage(
  request: ChatRequest,
  call: CallContext,
  target: {
    readonly id: number;
    readonly backend: string;
    readonly capabilities: Capabilities;
    /** The device tells what it has in its cache. */
    readonly wantsPrefixes?: boolean;
    /** What stands for a client's key towards it. */
    readonly prefixKey?: ((clientKey: string) => string) | undefined;
  },
): Complete {
  const { sampling, toolChoice, responseFormat } = request;
  warnOfUnsupported(request, call, target.capabilities);
  const text = wireText(request, call, target);
  const scores = target.capabilities.logprobs ? wantedScores(sampling, call) : undefined;
  const leftMs = call.deadlineMs === undefined ? undefined : Math.max(1, call.deadlineMs - call.clock.nowMs());
  return {
    t: 'complete',
    id: target.id,
    model: call.model,
    lane: request.hints.lane ?? 'interactive',
    ...wirePrompt(request, target.backend, target.prefixKey),
    ...(toolChoice === undefined ? {} : { tool_choice: wireToolChoice(toolChoice) }),
    ...(responseFormat === undefined ? {} : { response_format: wireFormat(responseFormat) }),
    ...(sampling.maxTokens === undefined ? {} : { max_tokens: sampling.maxTokens }),
    ...(sampling.temperature === undefined ? {} : { temperature: sampling.temperature }),
    ...(sampling.topP === undefined ? {} : { top_p: sampling.topP }),
    ...(sampling.seed === undefined ? {} : { seed: sampling.seed }),
    ...(sampling.frequencyPenalty === undefined ? {} : { frequency_penalty: sampling.frequencyPenalty }),
    ...(sampling.presencePenalty === undefined ? {} : { presence_penalty: sampling.presencePenalty }),
    ...(sampling.stop.length === 0 ? {} : { stop: [...sampling.stop] }),
    ...(text === undefined ? {} : { text }),
    ...(scores === undefined ? {} : { scores }),
    ...(leftMs === undefined ? {} : { deadline_ms: leftMs }),
    // A text is in no cache of a conversation's beginnings.
    ...(target.wantsPrefixes === true && text === undefined ? { prefix: prefixesOf(request, call.model) } : {}),
  };
}

/** The text that is to be gone on with, where the model can; else its user's message is answered. */
function wireText(
  { continuation }: ChatRequest,
  call: CallContext,
  { capabilities, backend }: { readonly capabilities: Capabilities; readonly backend: string },
): Complete['text'] {
  if (continuation === undefined) return undefined;
  const { prompt, suffix, bestOf } = continuation;
  const warn: CallContext['warn'] = (param, why) => call.warn(param, why);
  if (suffix !== undefined && capabilities.infill !== true) throw withoutInfill(backend);
  if (capabilities.texts !== true) {
    warnOfMessage(continuation, warn);
    return undefined;
  }
  if (bestOf !== undefined) warnOfOne(warn);
  return { prompt, ...(suffix === undefined ? {} : { suffix }) };
}

/** Names of the beginnings of its prompt, so that the device can tell which of them it has in its cache. */
function prefixesOf(request: ChatRequest, model: string): NonNullable<Complete['prefix']> {
  const hashes = prefixHashes(model, request);
  const first = request.messages.length - hashes.length + 1;
  return hashes.map((h, at) => ({ h, messages: first + at }));
}

/** The client is given every score it asked for; the gate reads the first alone, and each one costs the engine time. */
function wantedScores({ logprobs, topLogprobs }: Sampling, call: CallContext): Complete['scores'] {
  if (logprobs) return { text: allTextTokens, calls: true, alternatives: topLogprobs ?? 0 };
  if (!call.wantScores) return undefined;
  return { text: call.scoredTokens ?? allTextTokens, calls: true, alternatives: call.alternatives ?? 0 };
}

function wireMessage(message: Message, backend: string): WireMessage {
  for (const part of message.content) {
    if (part.type === 'text') continue;
    throw new BackendError(`The local model takes no ${part.type} content; send text or use mode cloud.`, {
      fault: 'rejected',
      backend,
      code: 'unsupported_content',
    });
  }
  const content = textOf(message);
  switch (message.role) {
    case 'assistant': {
      const calls = message.toolCalls.map(({ id, name, arguments: json }) => ({ id, name, arguments: json }));
      return { role: 'assistant', content, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
    }
    case 'tool':
      return { role: 'tool', content, tool_call_id: message.toolCallId };
    default:
      return { role: message.role, content };
  }
}

function wireToolChoice(choice: ToolChoice): NonNullable<Complete['tool_choice']> {
  return choice.type === 'function' ? { name: choice.name } : choice.type;
}

function wireFormat(format: ResponseFormat): NonNullable<Complete['response_format']> {
  if (format.type !== 'json_schema') return { type: format.type };
  return { type: 'json_schema', ...(format.schema === undefined ? {} : { schema: { ...format.schema } }) };
}

function warnOfUnsupported(
  { sampling, parallelToolCalls }: ChatRequest,
  call: CallContext,
  capabilities: Capabilities,
): void {
  if (sampling.logitBias !== undefined) call.warn('logit_bias', 'not supported by the local model');
  warnOfRareSampling(sampling, (param, why) => call.warn(param, why), 'not supported by the local model');
  if (sampling.reasoningEffort !== undefined) call.warn('reasoning_effort', 'not supported by the local model');
  if (parallelToolCalls === false) call.warn('parallel_tool_calls', 'not supported by the local model');
  if (sampling.logprobs && !capabilities.logprobs) call.warn('logprobs', 'the local engine gives no scores');
}
