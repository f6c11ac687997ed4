import type { JsonObject } from './json.ts';

/** Where a request may run. `auto` allows both tiers; the other two are promises. */
export type Mode = 'local' | 'cloud' | 'auto';

/** `local` never leaves the user's own network. */
export type Tier = 'local' | 'cloud';

/** What rules keep a request from, in whatever role it would be shown there. */
export interface RuledOut {
  readonly tiers: readonly Tier[];
  readonly backends: readonly string[];
}

/** One chat completion as every stage sees it; no stage edits it. */
export interface ChatRequest {
  /** UUIDv7; returned as `x-request-id`. */
  readonly id: string;
  /** As asked (`lfo-auto` when absent); aliases and pins are resolved in routing. */
  readonly model: string;
  /** Order kept; tool results are never dropped. */
  readonly messages: readonly Message[];
  /** Empty when none were offered. */
  readonly tools: readonly ToolSpec[];
  /** Absent: `auto` with tools, `none` without. */
  readonly toolChoice?: ToolChoice;
  readonly parallelToolCalls?: boolean;
  readonly responseFormat?: ResponseFormat;
  readonly sampling: Sampling;
  readonly stream: boolean;
  /** The client asked for usage in its stream (`stream_options.include_usage`). */
  readonly includeUsage?: boolean;
  /** Tools came as the deprecated `functions`: the call goes back as `function_call`. */
  readonly legacyFunctions?: boolean;
  /** The client wants a text gone on with, not answered; `messages` has it as a user's, for models that only answer. */
  readonly continuation?: Continuation;
  /** For Google's models alone, in Google's words. */
  readonly google?: {
    /** What Google's servers do for a model, each as `{googleSearch: {}}`. */
    readonly tools: readonly JsonObject[];
    readonly safetySettings: readonly JsonObject[];
  };
  readonly hints: RoutingHints;
  /** Size of the body as received, in bytes: an upper bound for its text. */
  readonly bodyBytes: number;
  /** Present where the body may go to an OpenAI-compatible server as it came, but for its model. */
  readonly source?: SourceText | undefined;
}

/** A text that a model is to go on with, without its template. */
export interface Continuation {
  /** Not empty. */
  readonly prompt: string;
  /** What comes after the gap that is to be filled, not empty; absent: the text ends with the prompt. */
  readonly suffix?: string;
  /** Texts to make, of which the likeliest is given, 2 or more; absent: one. */
  readonly bestOf?: number;
}

/** The text of a chat completion's body that holds nothing but what would be written for the request. */
export interface SourceText {
  readonly text: string;
  /** Where the name of the model stands, quotes included. */
  readonly modelStart: number;
  readonly modelEnd: number;
  /** It asks for usage in its stream. */
  readonly hasStreamOptions: boolean;
  /** By which field it limits the answer; undefined: by none. */
  readonly tokensField: 'max_tokens' | 'max_completion_tokens' | undefined;
}

/** A conversation turn. Content keeps its parts; a plain string is one text part. */
export type Message = InstructionMessage | UserMessage | AssistantMessage | ToolMessage;

export interface InstructionMessage {
  readonly role: 'system' | 'developer';
  readonly content: readonly TextPart[];
}

export interface UserMessage {
  readonly role: 'user';
  readonly content: readonly ContentPart[];
}

export interface AssistantMessage {
  readonly role: 'assistant';
  /** Empty when the turn only called tools. */
  readonly content: readonly TextPart[];
  readonly toolCalls: readonly ToolCall[];
  /** What the model thought before it said that, for models that want it back; absent: not sent, or nothing. */
  readonly reasoning?: string;
}

export interface ToolMessage {
  readonly role: 'tool';
  /** Id of a call in an earlier assistant turn; the dialect has checked that it exists. */
  readonly toolCallId: string;
  readonly content: readonly TextPart[];
}

export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** What a user turn may hold. */
export type ContentPart =
  | TextPart
  /** `url` is a `data:` URL, or `http(s):` where the operator allows fetching. */
  | { readonly type: 'image'; readonly url: string; readonly detail?: 'auto' | 'low' | 'high' }
  /** `data` is base64. */
  | { readonly type: 'audio'; readonly data: string; readonly format: string }
  /** `data` is a `data:` URL or bare base64. */
  | { readonly type: 'file'; readonly data: string; readonly filename?: string };

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text exactly as the client sent it; may be empty or not JSON at all. */
  readonly arguments: string;
  /** Opaque provider state (Gemini) that the client carried back to us. */
  readonly thoughtSignature?: string;
}

export interface ToolSpec {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments; absent means no arguments. Never edited. */
  readonly parameters?: JsonObject;
  readonly strict?: boolean;
}

export type ToolChoice =
  | { readonly type: 'auto' | 'none' | 'required' }
  | { readonly type: 'function'; readonly name: string };

export type ResponseFormat =
  | { readonly type: 'text' | 'json_object' }
  | {
      readonly type: 'json_schema';
      readonly name: string;
      readonly description?: string;
      readonly schema?: JsonObject;
      readonly strict?: boolean;
    };

/** An absent field is the backend's default, not ours. */
export interface Sampling {
  /** 0..2 */
  readonly temperature?: number;
  /** 0..1 */
  readonly topP?: number;
  /** At least 1. */
  readonly topK?: number;
  /** 0..1 */
  readonly minP?: number;
  /** Above 0; 1 is none. */
  readonly repeatPenalty?: number;
  /** `max_completion_tokens`, else `max_tokens`; at least 1; includes reasoning. */
  readonly maxTokens?: number;
  /** At most 5, none empty. */
  readonly stop: readonly string[];
  readonly seed?: number;
  /** -2..2 */
  readonly frequencyPenalty?: number;
  /** -2..2 */
  readonly presencePenalty?: number;
  readonly logitBias?: Readonly<Record<string, number>>;
  /** The client wants log-probabilities in its answer. */
  readonly logprobs: boolean;
  /** 0..20; alternatives per token. */
  readonly topLogprobs?: number;
  /** How much is said. */
  readonly verbosity?: 'low' | 'medium' | 'high';
  readonly reasoningEffort?: 'none' | 'minimal' | 'low' | 'medium' | 'high' | 'xhigh' | 'max';
}

/** What the client said about where and how to run, already intersected (strictest wins). */
export interface RoutingHints {
  /** The effective mode: key policy ∩ header ∩ metadata ∩ model alias. Only ever tightened. */
  readonly mode: Mode;
  /** Work that may wait for everybody else; absent: interactive. */
  readonly lane?: 'background';
  /** 0..1; absent: the configured threshold. */
  readonly confidenceThreshold?: number;
  /** Total budget from arrival, in milliseconds. */
  readonly deadlineMs?: number;
  /** For a stream: budget from arrival to the head of the response, in milliseconds. */
  readonly headDeadlineMs?: number;
  /** Same value, same conversation: prefers the backend that is warm for it. Scoped to the client key. */
  readonly sessionKey?: string;
  /** The model as the client named it, where that is another name than the request's. */
  readonly askedModel?: string;
  /** What the key is called, for rules. */
  readonly clientName?: string;
  /** Headers and metadata as they came, for rules; never recorded. */
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** Whose request it is; KV prefixes are not shared across keys. */
  readonly clientKey?: string;
  /** The LFO that asks for its own client; absent: the client itself does. */
  readonly caller?: CallingRouter;
}

/** Another LFO, which asks this one. */
export interface CallingRouter {
  /** LFOs that the request has passed, that one included. */
  readonly hops: number;
  /** W3C Trace Context of its request; absent where it sent none. */
  readonly trace?: { readonly traceId: string; readonly spanId: string };
}

/** More LFOs in a row are a loop. */
export const maxHops = 3;

/** All text of a message joined in order; other parts contribute nothing. */
export function textOf(message: Message): string {
  const [first, second] = message.content;
  if (second === undefined) return first?.type === 'text' ? first.text : '';
  let text = '';
  for (const part of message.content) if (part.type === 'text') text += part.text;
  return text;
}
