import { isNativeError } from 'node:util/types';
import pino, { type DestinationStream } from 'pino';
import { systemClock, type Clock } from '../core/clock.ts';
import type { LfoConfig } from '../config/config.ts';
import { LfoError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';

export interface LogOptions {
  readonly level: LfoConfig['logLevel'];
  readonly secrets?: Secrets;
  /** Default: standard output, written without blocking; lines beyond 16 MiB of backlog are dropped. */
  readonly destination?: DestinationStream;
  readonly clock?: Clock;
}

const masked = '[redacted]';

/** Header and field names whose values are secrets, however deep they sit. */
const secretFields = [
  'authorization',
  'x-api-key',
  'x-goog-api-key',
  'cookie',
  'apiKey',
  'apiKeys',
  'authToken',
  'token',
];

const secretField = new RegExp(
  `"(${secretFields.join('|')})":(?:"(?:[^"\\\\]|\\\\.)*"|\\[[^\\]]*\\]|\\{[^}]*\\})`,
  'g',
);

/** Values that must never be written: each is masked wherever it turns up, in its usual encodings too. */
export class Secrets {
  #forms: readonly string[] = [];

  constructor(secrets: readonly string[]) {
    this.add(secrets);
  }

  /** These as well from now on. Those known stay: what began under them may still fail. */
  add(secrets: readonly string[]): void {
    const forms = secrets.filter((secret) => secret.length >= 6).flatMap(encodingsOf);
    this.#forms = [...new Set([...this.#forms, ...forms])].toSorted((a, b) => b.length - a.length);
  }

  /** On the finished line, where one pass costs a fiftieth of pino's own redaction by paths. */
  mask(line: string): string {
    return this.#forms.reduce(
      (text, form) => (text.includes(form) ? text.replaceAll(form, masked) : text),
      line.replace(secretField, `"$1":"${masked}"`),
    );
  }
}

/** Makes the logger of a process. An error is logged by class and code; foreign messages may quote a prompt. */
export function createLogger(options: LogOptions): Logger {
  const clock = options.clock ?? systemClock;
  const secrets = options.secrets ?? new Secrets([]);
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      hooks: { streamWrite: (line) => secrets.mask(line) },
    },
    options.destination ?? new StandardOutput(),
  );
}

/** Standard output. Lines of one turn of the event loop leave in one write, which costs more than making them. */
class StandardOutput implements DestinationStream {
  readonly #out = pino.destination({ dest: 1, sync: false, maxLength: 16 * 1024 * 1024 });
  #lines = '';
  #scheduled: NodeJS.Immediate | undefined;

  write(line: string): void {
    this.#lines += line;
    this.#scheduled ??= setImmediate(() => this.#flush());
  }

  /** Of a line that may be the last. */
  flushSync(): void {
    this.#flush();
    this.#out.flushSync();
  }

  #flush(): void {
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#out.write(lines);
  }
}

/** What of an error may be written down: no stack, and no message but our own. */
function describeError(error: unknown): Record<string, unknown> {
  if (!isNativeError(error)) return { type: typeof error };
  const { name } = error;
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
  if (error instanceof LfoError) {
    return { type: name, ...code, status: error.status, source: error.source, message: error.message, ...cause };
  }
  return { type: name, ...code, at: firstFrame(error), ...cause };
}

/** Place in our own code where a foreign error came through: enough to find a bug, and free of data. */
function firstFrame(error: Error): string | undefined {
  return /packages\/([\w./-]+\.ts:\d+)/.exec(error.stack?.slice(error.message.length) ?? '')?.[1];
}

function encodingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('base64url'),
  ];
}
