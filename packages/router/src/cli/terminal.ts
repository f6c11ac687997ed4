import type { Readable, Writable } from 'node:stream';
import { createColors } from 'picocolors';

/** What a command may know and use of the process it runs in; tests give their own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** `v24.1.0` */
  readonly nodeVersion: string;
  readonly input: Readable;
  /** Results. */
  readonly output: Writable;
  /** Problems and progress. */
  readonly errors: Writable & { readonly isTTY?: boolean };
  /** Whether a person looks at the output. */
  readonly isInteractive: boolean;
  /** Calls back on each of these signals; the returned function stops it. */
  onSignal(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', run: () => void): () => void;
  /** Calls back with an error nobody caught. */
  onCrash(run: (error: unknown) => void): void;
  /** Ends the process in order, for after a crash. */
  exitNow(code: number): void;
  /** Ends the process at once, whatever it does: for a second signal. */
  endNow(): void;
}

export type Colours = ReturnType<typeof createColors>;

/** Colours for a terminal alone, and none where `NO_COLOR` is set (no-color.org). */
export function coloursFor(terminal: Terminal): Colours {
  const isRefused = (terminal.env['NO_COLOR'] ?? '') !== '' || terminal.env['TERM'] === 'dumb';
  return createColors(terminal.isInteractive && !isRefused);
}

/**
 * Text of models, devices and other programs as a terminal may show it: without control characters, which could move its
 * cursor, change its title or write to its clipboard. Line ends and tabs stay.
 */
export function plainText(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, '');
}

/** Writes one line of a result. */
export function printLine(terminal: Terminal, line: string): void {
  terminal.output.write(`${line}\n`);
}

/** Exit codes of every command. */
export const exitCodes = { done: 0, failed: 1, usage: 2 } as const;

/** A command cannot go on; the message says what to do, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}
