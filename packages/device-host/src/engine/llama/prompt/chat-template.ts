import { Template } from '@huggingface/jinja';
import type { WireMessage, WireTool } from '@lfo/protocol';
import { EngineError } from '@lfo/device-core';
import { SpecialTextGuard, type PromptSegment } from './special-text-guard.ts';
import { describeTools, type TemplateMessage, type TemplateTool } from './tool-description.ts';

/** What a model file says about its prompts. */
export interface TemplateSource {
  /** Jinja; absent: ChatML. */
  readonly template: string | undefined;
  readonly bosToken: string;
  readonly eosToken: string;
  /** Texts of the model's control tokens. */
  readonly controlTexts: readonly string[];
}

const chatMl = `{% for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}`;

/** Stands in for `raise_exception`, whose error cannot be told from a failure of the template. */
const refuse = 'refuse_conversation';

/** Writes conversations the way a model was trained to read them. */
export class ChatTemplate {
  /** Whether the model's own template offers tools. */
  readonly hasTools: boolean;
  /** Whether it writes calls between `<tool_call>` tags, as the tools described by us do. */
  readonly isTagged: boolean;
  readonly #template: Template;
  readonly #source: TemplateSource;
  readonly #hasDeveloper: boolean;
  readonly #nonce: () => string;

  /** `nonce` gives fresh unguessable letters and digits. @throws EngineError when the template cannot be parsed. */
  constructor(source: TemplateSource, nonce: () => string) {
    const text = source.template ?? chatMl;
    this.#source = source;
    this.#nonce = nonce;
    this.hasTools = /\btools\b/.test(text);
    this.isTagged = !this.hasTools || text.includes('<tool_call>');
    this.#hasDeveloper = text.includes('developer');
    try {
      this.#template = new Template(text.replace(/\braise_exception\b/g, refuse));
    } catch (cause) {
      throw new EngineError(
        'engine',
        'The chat template in the model file cannot be read; use another file of this model.',
        false,
        { cause },
      );
    }
  }

  /**
   * The prompt up to where the answer begins, in segments to be tokenized one after another. Control tokens come
   * from the template alone: the same text in a message is set apart as plain.
   * @throws EngineError `bad_request`, retryable where the template itself failed instead of refusing the conversation.
   */
  render(messages: readonly WireMessage[], tools: readonly WireTool[]): PromptSegment[] {
    const guard = new SpecialTextGuard(this.#source.controlTexts, this.#nonce());
    const given = guard.protect(templateMessages(messages, this.#hasDeveloper));
    const offered = guard.protect(tools.map(templateTool));
    const prompt = this.hasTools ? given : describeTools(given, offered);
    const text = this.#render(prompt, offered) ?? this.#render(systemInUser(prompt), offered);
    if (text === undefined) {
      throw new EngineError(
        'bad_request',
        "The model's chat template refuses this order of messages; let user and assistant take turns.",
        false,
      );
    }
    return guard.split(text);
  }

  #render(messages: readonly TemplateMessage[], tools: readonly TemplateTool[]): string | undefined {
    try {
      return this.#template.render({
        messages,
        ...(this.hasTools && tools.length > 0 ? { tools } : {}),
        add_generation_prompt: true,
        bos_token: this.#source.bosToken,
        eos_token: this.#source.eosToken,
        [refuse]: () => {
          throw new Refusal();
        },
      });
    } catch (cause) {
      if (cause instanceof Refusal) return undefined;
      throw new EngineError(
        'bad_request',
        "The model's chat template failed on this conversation; use another model, or another file of this one.",
        true,
        { cause },
      );
    }
  }
}

/** The template knows this kind of conversation and does not take it. */
class Refusal extends Error {}

function templateMessages(messages: readonly WireMessage[], hasDeveloper: boolean): TemplateMessage[] {
  const names = new Map(messages.flatMap((message) => (message.tool_calls ?? []).map((call) => [call.id, call.name])));
  return messages.map((message) => {
    const name = message.tool_call_id === undefined ? undefined : names.get(message.tool_call_id);
    return {
      role: message.role === 'developer' && !hasDeveloper ? 'system' : message.role,
      content: message.content,
      ...(message.tool_call_id === undefined ? {} : { tool_call_id: message.tool_call_id }),
      ...(name === undefined ? {} : { name }),
      ...(message.tool_calls === undefined || message.tool_calls.length === 0
        ? {}
        : {
            tool_calls: message.tool_calls.map((call) => ({
              id: call.id,
              type: 'function' as const,
              function: { name: call.name, arguments: parsed(call.arguments) },
            })),
          }),
    };
  });
}

function templateTool(tool: WireTool): TemplateTool {
  return {
    type: 'function',
    function: {
      name: tool.name,
      ...(tool.description === undefined ? {} : { description: tool.description }),
      parameters: tool.parameters ?? { type: 'object', properties: {} },
    },
  };
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

/** For templates without a system role: its text opens the first user message. */
function systemInUser(messages: readonly TemplateMessage[]): TemplateMessage[] {
  const system = messages.filter((message) => message.role === 'system').map((message) => message.content);
  const rest = messages.filter((message) => message.role !== 'system');
  const at = rest.findIndex((message) => message.role === 'user');
  const first = rest[at];
  return first === undefined ? rest : rest.with(at, { ...first, content: [...system, first.content].join('\n\n') });
}
