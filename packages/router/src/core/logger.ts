import type { Logger as PinoLogger } from 'pino';

/** Writes one JSON line a record: fields first, then a fixed sentence. Never give it prompts, answers or URLs. */
export type Logger = Pick<
  PinoLogger,
  'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'level' | 'isLevelEnabled'
>;
