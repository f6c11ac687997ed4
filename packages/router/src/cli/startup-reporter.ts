import type { Writable } from 'node:stream';
import { Presets, SingleBar } from 'cli-progress';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { Problem, ReadyInfo, StartupListener, StartupProgress } from '../app/running-app.ts';
import type { Colours } from './terminal.ts';

/** Tells whoever started LFO how the start goes: a bar and a banner on a terminal, JSON lines elsewhere. */
export interface StartupReporter extends StartupListener {
  /** Takes an unfinished bar away. Idempotent. */
  stop(): void;
}

const stepMs = 1000;

/** For people: one bar, then a short banner. */
export function terminalReporter(output: Writable, colours: Colours, clock: Clock): StartupReporter {
  let bar: ProgressBar | undefined;
  let isReady = false;
  const stop = (): void => {
    bar?.stop();
    bar = undefined;
  };
  return {
    stop,
    listening(url) {
      output.write(colours.dim(`LFO listens on ${url} and gets its model ready …\n`));
    },
    progress(progress) {
      if (isReady) return;
      if (bar?.phase !== progress.phase) {
        stop();
        bar = new ProgressBar(output, clock, progress);
      }
      bar.update(progress);
    },
    ready(info) {
      stop();
      output.write(isReady ? colours.green('LFO can answer again.\n') : banner(info, colours));
      isReady = true;
    },
    unable(info, problem) {
      stop();
      output.write(`\n${colours.red(unableText(problem))}\n`);
      if (!isReady && info.dashboardUrl !== undefined)
        output.write(`  ${colours.dim('dashboard')}  ${info.dashboardUrl}\n`);
    },
  };
}

/** What whoever started LFO has to know first. */
function unableText({ what, fix }: Problem): string {
  return `LFO runs, but cannot answer: ${what} Fix: ${fix}`;
}

/** For everything else: one JSON line a step, and one a second within a step. */
export function logReporter(logger: Logger, clock: Clock): StartupReporter {
  let phase: string | undefined;
  let writtenAtMs = 0;
  let isReady = false;
  return {
    stop() {},
    listening: (url) => logger.info({ url }, 'LFO is listening.'),
    progress(progress) {
      const isStep = progress.phase !== phase || (progress.total > 0 && progress.done >= progress.total);
      if (isReady || (!isStep && clock.nowMs() - writtenAtMs < stepMs)) return;
      phase = progress.phase;
      writtenAtMs = clock.nowMs();
      logger.info({ ...progress }, 'The model is being prepared.');
    },
    ready(info) {
      if (isReady) logger.info('LFO can answer again.');
      else logger.info({ ...info }, 'LFO is ready.');
      isReady = true;
    },
    unable: ({ url }, problem) => logger.warn({ url, ...problem }, unableText(problem)),
  };
}

/** The banner of a running LFO; ends in a newline. */
export function banner(info: ReadyInfo, colours: Colours): string {
  const row = (label: string, text: string): string => `  ${colours.dim(label.padEnd(11))}${text}`;
  const key = info.needsKey ? ' -H "authorization: Bearer $LFO_AUTH_TOKEN"' : '';
  const body = '{"messages":[{"role":"user","content":"What is 2+2?"}]}';
  return [
    '',
    `  ${colours.bold('LFO')} is ready after ${(info.startupMs / 1000).toFixed(1)} s`,
    '',
    row('address', colours.cyan(info.url)),
    ...(info.dashboardUrl === undefined ? [] : [row('dashboard', colours.cyan(info.dashboardUrl))]),
    row('local', localLine(info, colours)),
    row(
      'cloud',
      info.cloud.length > 0 ? colours.green(info.cloud.join(', ')) : colours.yellow('off: set GEMINI_API_KEY'),
    ),
    '',
    `  curl ${info.url}/v1/chat/completions${key} -H "content-type: application/json" -d '${body}'`,
    '',
    '',
  ].join('\n');
}

function localLine({ local }: ReadyInfo, colours: Colours): string {
  if (local === undefined) return colours.yellow('off: LFO_LOCAL_MODEL=none');
  const name = `${local.model} (${local.engine})`;
  if (local.problem !== undefined) return `${name} ${colours.red(local.problem)}`;
  return local.decodeRate === undefined ? name : `${name}, ${local.decodeRate.toFixed(1)} tokens/s in its last run`;
}

const verbs = { download: 'fetching', verify: 'checking', load: 'loading' } as const;

class ProgressBar {
  readonly phase: StartupProgress['phase'];
  readonly #bar: SingleBar;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #startDone: number;

  constructor(output: Writable, clock: Clock, first: StartupProgress) {
    this.phase = first.phase;
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#startDone = first.done;
    const format = '  {verb} {what} {bar} {percentage}% {details}';
    const options = { format, stream: output, hideCursor: true, clearOnComplete: true, fps: 4, barsize: 24 };
    this.#bar = new SingleBar(options, Presets.shades_classic);
    this.#bar.start(Math.max(first.total, 1), first.done, this.#texts(first));
  }

  update(progress: StartupProgress): void {
    this.#bar.setTotal(Math.max(progress.total, progress.done, 1));
    this.#bar.update(progress.done, this.#texts(progress));
  }

  stop(): void {
    this.#bar.stop();
  }

  #texts(progress: StartupProgress): Record<string, string> {
    return { verb: verbs[progress.phase], what: progress.what, details: this.#details(progress) };
  }

  /** Size, speed and time left of a download. */
  #details({ phase, done, total }: StartupProgress): string {
    if (phase !== 'download') return '';
    const size = total === 0 ? megabytes(done) : `${megabytes(done)} of ${megabytes(total)}`;
    const seconds = (this.#clock.nowMs() - this.#startMs) / 1000;
    const rate = seconds < 1 ? 0 : (done - this.#startDone) / seconds;
    if (rate <= 0) return size;
    return [size, `${megabytes(rate)}/s`, ...(total > 0 ? [`${timeText((total - done) / rate)} left`] : [])].join(
      ' · ',
    );
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

function timeText(seconds: number): string {
  return seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
}
