import type { WireMessage, WireTool } from '@lfo/protocol';
import { disarmed } from './special-text.ts';

/**
 * FunctionGemma's own form of a conversation with tools (ai.google.dev, FunctionGemma, "Formatting and best practices"):
 * declarations in a developer turn, keys sorted, types in capitals, every string between `<escape>` marks.
 */
export function gemmaPrompt({
  messages,
  tools,
}: {
  readonly messages: readonly WireMessage[];
  readonly tools: readonly WireTool[];
}): string {
  const system = messages.filter(isInstruction).map(({ content }) => disarmed(content));
  const offer = tools.length === 0 ? [] : [offersTools];
  const developer = [...system, ...offer].join('\n') + tools.map(gemmaDeclaration).join('');
  const turns = messages.filter((message) => !isInstruction(message)).map((message) => gemmaTurn(message, messages));
  return [...(developer === '' ? [] : [turn('developer', developer)]), ...turns, '<start_of_turn>model\n'].join('');
}

const offersTools = 'You are a model that can do function calling with the following functions';

/** A tool as the model was trained to read it. */
export function gemmaDeclaration({ name, description = '', parameters = { type: 'object' } }: WireTool): string {
  const body = [`description:${escaped(description)}`, `parameters:${schemaText(parameters)}`].join(',');
  return `<start_function_declaration>declaration:${name}{${body}}<end_function_declaration>`;
}

/** A call as the model writes it; arguments that are no JSON object are left out. */
export function gemmaCall({ name, arguments: json }: { readonly name: string; readonly arguments: string }): string {
  return `<start_function_call>call:${name}${valueText(objectOf(json))}<end_function_call>`;
}

/** What a tool answered. */
export function gemmaResponse(name: string, content: string): string {
  return `<start_function_response>response:${name}{value:${escaped(content)}}<end_function_response>`;
}

function isInstruction({ role }: WireMessage): boolean {
  return role === 'system' || role === 'developer';
}

function gemmaTurn(message: WireMessage, all: readonly WireMessage[]): string {
  const { role, content, tool_calls: calls = [] } = message;
  if (role === 'assistant') return turn('model', disarmed(content) + calls.map(gemmaCall).join(''));
  if (role === 'tool') return turn('user', gemmaResponse(toolOf(message, all), content));
  return turn('user', disarmed(content));
}

/** Name of the tool whose result a message is. */
export function toolOf({ tool_call_id: id }: WireMessage, all: readonly WireMessage[]): string {
  return all.flatMap(({ tool_calls: calls = [] }) => calls).find((call) => call.id === id)?.name ?? 'tool';
}

function turn(role: string, text: string): string {
  return `<start_of_turn>${role}\n${text}<end_of_turn>\n`;
}

function escaped(text: string): string {
  return `<escape>${disarmed(text)}<escape>`;
}

/** A JSON schema in the same notation: a type is a word in capitals. */
function schemaText(schema: unknown): string {
  return valueText(schema, (key, value) =>
    key === 'type' && typeof value === 'string' ? escaped(value.toUpperCase()) : undefined,
  );
}

function valueText(value: unknown, special?: (key: string, value: unknown) => string | undefined): string {
  if (typeof value === 'string') return escaped(value);
  if (Array.isArray(value)) return `[${value.map((item) => valueText(item, special)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  // Older versions of Hermes have no `toSorted`.
  // oxlint-disable-next-line unicorn/no-array-sort
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${key}:${special?.(key, item) ?? valueText(item, special)}`).join(',')}}`;
}

function objectOf(json: string): unknown {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}
