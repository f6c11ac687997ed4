import { randomInt } from 'node:crypto';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A new id for a tool call, in the shape OpenAI's have. */
export function newCallId(): string {
  return `call_${Array.from({ length: 24 }, () => alphabet[randomInt(alphabet.length)]).join('')}`;
}
