import { Presets, SingleBar } from 'cli-progress';
import type { Clock } from '@lfo/protocol';
import { megabytes } from './models/machine.ts';
import type { ModelProgress } from './models/progress.ts';

/** Shows how far a model is. */
export interface ProgressDisplay {
  update(progress: ModelProgress): void;
  /** Ends what is shown; idempotent, and a later update begins anew. */
  done(): void;
}

const stepMs = 1000;

/** One bar on a terminal: what, percent, size, speed and time left. */
export function progressBar(stream: NodeJS.WriteStream, clock: Clock): ProgressDisplay {
  let bar: SingleBar | undefined;
  let phase: ModelProgress['phase'] | undefined;
  let rate = new Rate(clock);
  const done = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    done,
    update(progress) {
      if (phase !== progress.phase) {
        phase = progress.phase;
        rate = new Rate(clock);
      }
      bar ??= startBar(stream, progress);
      bar.setTotal(Math.max(progress.total, progress.done, 1));
      bar.update(progress.done, textsOf(progress, rate.of(progress.done)));
    },
  };
}

/** One JSON line a second, and one whenever the phase changes, for everything that is no terminal. */
export function progressLines(print: (line: string) => void, clock: Clock): ProgressDisplay {
  let phase: ModelProgress['phase'] | undefined;
  let printedAtMs = 0;
  let wasDone = false;
  return {
    done() {
      phase = undefined;
    },
    update(progress) {
      const nowMs = clock.nowMs();
      const isDone = progress.total > 0 && progress.done >= progress.total;
      if (progress.phase === phase && nowMs - printedAtMs < stepMs && isDone === wasDone) return;
      phase = progress.phase;
      printedAtMs = nowMs;
      wasDone = isDone;
      print(JSON.stringify(progress));
    },
  };
}

function startBar(stream: NodeJS.WriteStream, progress: ModelProgress): SingleBar {
  const format = '{verb} {what} {bar} {percentage}% | {size} | {speed} | {left}';
  const options = { format, stream, hideCursor: true, clearOnComplete: true, fps: 4, barsize: 24, etaBuffer: 1 };
  const bar = new SingleBar(options, Presets.shades_classic);
  bar.start(Math.max(progress.total, 1), progress.done, textsOf(progress, 0));
  return bar;
}

function textsOf({ phase, done, total, what }: ModelProgress, bytesPerSecond: number): Record<string, string> {
  return {
    verb: phase === 'download' ? 'fetching' : 'checking',
    what,
    size: total === 0 ? megabytes(done) : `${megabytes(done)} of ${megabytes(total)}`,
    speed: bytesPerSecond === 0 ? '… MB/s' : `${(bytesPerSecond / 1e6).toFixed(1)} MB/s`,
    left: bytesPerSecond === 0 || total === 0 ? '' : `${duration((total - done) / bytesPerSecond)} left`,
  };
}

/** `42 s`, `3 min` */
function duration(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}

/** Bytes per second over the last few seconds; 0 until the first second is over. */
class Rate {
  readonly #clock: Clock;
  #sinceMs: number | undefined;
  #sinceBytes = 0;
  #rate = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(done: number): number {
    const nowMs = this.#clock.nowMs();
    this.#sinceMs ??= nowMs;
    if (this.#sinceBytes === 0) this.#sinceBytes = done;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < stepMs) return this.#rate;
    const latest = ((done - this.#sinceBytes) * 1000) / elapsedMs;
    this.#rate = this.#rate === 0 ? latest : this.#rate * 0.6 + latest * 0.4;
    this.#sinceMs = nowMs;
    this.#sinceBytes = done;
    return this.#rate;
  }
}
