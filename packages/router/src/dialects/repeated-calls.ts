import { parseJson } from '../core/json.ts';
import type { Message, ToolCall } from '../core/request.ts';

/** From so many identical calls in one conversation on, its agent is probably going in circles. */
export const suspectedLoop = 3;

/**
 * How often the most repeated tool call of a conversation was made, where that is worth a word: same tool, same
 * arguments, spacing aside. Arguments are only parsed of calls that look alike.
 */
export function mostRepeatedCall(messages: readonly Message[]): number {
  const alike = new Map<string, ToolCall[]>();
  for (const message of messages) {
    if (message.role !== 'assistant') continue;
    for (const call of message.toolCalls) {
      const look = `${call.name} ${call.arguments.replaceAll(/\s+/g, '')}`;
      const known = alike.get(look);
      if (known === undefined) alike.set(look, [call]);
      else known.push(call);
    }
  }
  let most = 0;
  for (const calls of alike.values()) if (calls.length > most) most = Math.max(most, mostOf(calls));
  return most;
}

function mostOf(calls: readonly ToolCall[]): number {
  if (calls.length < suspectedLoop) return calls.length;
  const counts = new Map<string, number>();
  for (const { arguments: text } of calls) {
    const meant = JSON.stringify(parseJson(text) ?? text);
    counts.set(meant, (counts.get(meant) ?? 0) + 1);
  }
  return Math.max(...counts.values());
}
