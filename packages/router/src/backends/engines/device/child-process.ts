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

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  /** Its end has been asked for. */
  isEnding: boolean;
  isHung: boolean;
}

/** Keeps one device host running as a child process; its crashes cost only what ran on it. */
export class DeviceChild {
  readonly #options: DeviceChildOptions;
  #running: Running | undefined;
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

  /** Called once; from then on the child is restarted whenever it ends, and tried again where it cannot be started. */
  start(): void {
    const startedMs = this.#options.clock.nowMs();
    try {
      this.#start(startedMs);
    } catch (error) {
      // No memory, no descriptors, no more processes: that may pass.
      const why = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
      this.#running?.child.kill('SIGKILL');
      this.#running = undefined;
      if (!this.#closed) this.#restartLater(0, `could not be started${why}`, []);
    }
  }

  /** Ends a child that has hung, at once; it is started again. */
  kill(): void {
    const running = this.#running;
    if (running === undefined) return;
    running.isHung = true;
    running.child.kill('SIGKILL');
  }

  #start(startedMs: number): void {
    const { command, env, clock, onChannel } = this.#options;
    const [program, ...args] = command;
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const running: Running = { child, ended, isEnding: false, isHung: false };
    this.#running = running;

    const onEnd = (how: string): void => {
      resolve();
      if (this.#running !== running) return;
      this.#running = undefined;
      if (this.#closed) return;
      this.#restartLater(
        clock.nowMs() - startedMs,
        running.isHung ? 'was ended because it no longer answered' : how,
        lines,
      );
    };
    child.once('exit', (code, signal) => onEnd(`ended ${signal === null ? `with code ${code}` : `by ${signal}`}`));
    // A program that cannot be started gives no `exit`.
    child.on('error', () => child.pid === undefined && onEnd('ended before it had started'));
    const lines = this.#listenTo(child);

    const pipe = child.stdio[3];
    if (!(pipe instanceof Socket)) return;
    // A closed pipe with a living child is a child that has stopped reading, or that we have given up.
    pipe.once('close', () => this.#kill(running));
    onChannel(framedChannel(streamCarrier(pipe), maxFrameBytes));
  }

  /** Ends the child for good: SIGTERM, then SIGKILL. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRestart?.();
    const running = this.#running;
    if (running === undefined) return;
    this.#kill(running);
    await running.ended;
  }

  #listenTo(child: ChildProcess): string[] {
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      // Without a descriptor to spare there is none.
      if (!stream) continue;
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
    this.#options.onDown(`The model process ${how}; it is started again in ${restartMs / 1000} s.${words}`, restartMs);
  }

  #kill(running: Running): void {
    const { child } = running;
    if (running.isEnding || child.exitCode !== null || child.signalCode !== null) return;
    running.isEnding = true;
    child.kill('SIGTERM');
    const cancel = this.#options.clock.schedule(killGraceMs, () => child.kill('SIGKILL'));
    child.once('exit', cancel);
  }
}
