import { parseJson } from '../core/json.ts';
import type { Message } from '../core/request.ts';

/** From so many identical calls in one conversation on, its agent is probably going in circles. */
export const suspectedLoop = 3;

/** How often the most repeated tool call of a conversation was made: same tool, same arguments, spacing aside. */
export function mostRepeatedCall(messages: readonly Message[]): number {
  const counts = new Map<string, number>();
  let most = 0;
  for (const message of messages) {
    if (message.role !== 'assistant') continue;
    for (const { name, arguments: text } of message.toolCalls) {
      const call = JSON.stringify([name, parseJson(text) ?? text]);
      const count = (counts.get(call) ?? 0) + 1;
      counts.set(call, count);
      most = Math.max(most, count);
    }
  }
  return most;
}
