import type { Logger as PinoLogger } from 'pino';

/** Writes one JSON line a record: fields first, then a fixed sentence. Never give it prompts, answers or URLs. */
export type Logger = Pick<
  PinoLogger,
  'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'level' | 'isLevelEnabled'
>;

/** What a log may tell of an error that is a fault of ours: its name and where it came from, never its message. */
export function errorFields(error: unknown): { readonly error: string; readonly stack: readonly string[] } {
  if (!(error instanceof Error)) return { error: typeof error, stack: [] };
  const { name, message, stack = '' } = error;
  const at = stack.indexOf(message);
  const frames = at === -1 ? '' : stack.slice(at + message.length);
  return { error: name, stack: frames.split('\n').flatMap((line) => line.trim() || []) };
}
