import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { framedChannel, maxFrameBytes, streamCarrier, type Channel } from '@lfo/protocol';
import type { Clock } from '../../../core/clock.ts';

/** First wait before a restart; doubles with each failure up to the longest. */
const firstRestartMs = 500;
const longestRestartMs = 30_000;
/** A child that lived this long starts counting anew. */
const stableMs = 60_000;
/** After SIGTERM; then SIGKILL. */
const killGraceMs = 2_000;
const lastLines = 3;
/** What Node prints around the message of an error: frames with paths, markers, its version. */
const isNoise = /^\s*(at .*|[\^~]*|Node\.js v.*|node:internal.*|throw .*|[}\]),;]*)$/;

export interface DeviceChildOptions {
  /** Program and arguments. */
  readonly command: readonly [string, ...string[]];
  /** Whole environment of the child: it needs no key of any provider. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** A new child's pipe; it closes when the child ends. */
  readonly onChannel: (channel: Channel) => void;
  /** It has ended and will be started again after `restartMs`. */
  readonly onDown: (detail: string, restartMs: number) => void;
  /** One line the child printed. */
  readonly onLine: (line: string) => void;
}

/** Keeps one device host running as a child process; its crashes cost only what ran on it. */
export class DeviceChild {
  readonly #options: DeviceChildOptions;
  #running: { readonly child: ChildProcess; readonly ended: Promise<void> } | undefined;
  #failures = 0;
  #cancelRestart: (() => void) | undefined;
  #closed = false;

  constructor(options: DeviceChildOptions) {
    this.#options = options;
  }

  /** Of the child that runs now. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** Called once; from then on the child is restarted whenever it ends. */
  start(): void {
    const { command, env, clock, onChannel } = this.#options;
    const [program, ...args] = command;
    const startedMs = clock.nowMs();
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    const lines = this.#listenTo(child);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    this.#running = { child, ended };

    const onEnd = (how: string): void => {
      if (this.#running?.child !== child) return;
      this.#running = undefined;
      resolve();
      if (!this.#closed) this.#restartLater(clock.nowMs() - startedMs, how, lines);
    };
    child.once('exit', (code, signal) => onEnd(signal === null ? `with code ${code}` : `by ${signal}`));
    // A program that cannot be started gives no `exit`.
    child.once('error', () => child.pid === undefined && onEnd('before it had started'));

    const pipe = child.stdio[3];
    if (!(pipe instanceof Socket)) return;
    // A closed pipe with a living child is a child that has stopped reading, or that we have given up.
    pipe.once('close', () => this.#kill(child));
    onChannel(framedChannel(streamCarrier(pipe), maxFrameBytes));
  }

  /** Ends the child for good: SIGTERM, then SIGKILL. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart?.();
    const running = this.#running;
    if (running === undefined) return;
    this.#kill(running.child);
    await running.ended;
  }

  #listenTo(child: ChildProcess): string[] {
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.#options.onLine(line);
        if (stream !== child.stderr || isNoise.test(line)) return;
        lines.push(line.trim().slice(0, 200));
        if (lines.length > lastLines) lines.shift();
      });
    }
    return lines;
  }

  #restartLater(livedMs: number, how: string, lines: readonly string[]): void {
    if (livedMs >= stableMs) this.#failures = 0;
    const restartMs = Math.min(longestRestartMs, firstRestartMs * 2 ** this.#failures++);
    this.#cancelRestart = this.#options.clock.schedule(restartMs, () => this.start());
    const words = lines.length === 0 ? '' : ` Its last words: ${lines.join(' | ')}`;
    this.#options.onDown(
      `The model process ended ${how}; it is started again in ${restartMs / 1000} s.${words}`,
      restartMs,
    );
  }

  #kill(child: ChildProcess): void {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    const cancel = this.#options.clock.schedule(killGraceMs, () => child.kill('SIGKILL'));
    child.once('exit', cancel);
  }
}
