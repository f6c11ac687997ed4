import { repairedArguments } from '@lfo/device-core/tool-calls';
import { isJsonObject, parseJson } from '../core/json.ts';
import type { Message, ToolMessage } from '../core/request.ts';

type Warnings = Map<string, string>;

/** What is said of a history in which somebody was interrupted. */
export const unansweredWarning = 'calls without a result were answered with nothing';

/** Whether text is what every backend takes as the arguments of an earlier call; empty text stands for none. */
export function areArgumentsSound(json: string): boolean {
  return json.trim() === '' || isJsonObject(parseJson(json));
}

/** Arguments of an earlier call as JSON of an object; what cannot be read becomes an empty one. */
export function mendedArguments(json: string, warnings: Warnings): string {
  if (areArgumentsSound(json)) return json;
  warnings.set('arguments', 'arguments of earlier calls that were no JSON object were repaired');
  return repairedArguments(json) ?? '{}';
}

/** The same conversation with an empty result for each call that has none, after the results of its turn. */
export function withResults(messages: readonly Message[], warnings: Warnings): readonly Message[] {
  const unanswered = unansweredCalls(messages);
  if (unanswered.size === 0) return messages;
  warnings.set('tool_calls', unansweredWarning);
  const whole: Message[] = [];
  let owed: ToolMessage[] = [];
  for (const message of messages) {
    if (message.role !== 'tool') whole.push(...owed.splice(0));
    whole.push(message);
    if (message.role === 'assistant') owed = (unanswered.get(message) ?? []).map(noResult);
  }
  return [...whole, ...owed];
}

/** Ids of calls without a result, by turn: an id may be used again, and a result answers the latest call before it. */
function unansweredCalls(messages: readonly Message[]): ReadonlyMap<Message, readonly string[]> {
  const unanswered = new Map<Message, readonly string[]>();
  const results = new Set<string>();
  for (const message of messages.toReversed()) {
    if (message.role === 'tool') results.add(message.toolCallId);
    if (message.role !== 'assistant') continue;
    const ids = [...new Set(message.toolCalls.map(({ id }) => id))].filter((id) => !results.delete(id));
    if (ids.length > 0) unanswered.set(message, ids);
  }
  return unanswered;
}

export function noResult(toolCallId: string): ToolMessage {
  return { role: 'tool', toolCallId, content: [{ type: 'text', text: '' }] };
}
