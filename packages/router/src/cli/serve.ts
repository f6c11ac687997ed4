import type { AppOptions, RunningApp } from '../app/running-app.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { createDataFolder } from '../config/data-folder.ts';
import { createConfigHandle, type ReloadableConfig, type ReloadResult } from '../config/handle.ts';
import { secretsOf } from '../config/show.ts';
import { watchFile } from '../config/watch.ts';
import type { LfoConfig } from '../config/config.ts';
import { codeOf } from '../core/error-code.ts';
import type { Logger } from '../core/logger.ts';
import { createLogger, Secrets } from '../telemetry/log.ts';
import { logReporter, terminalReporter } from './startup-reporter.ts';
import { CliError, coloursFor, exitCodes, type Terminal } from './terminal.ts';
import { terminalLog } from './terminal-log.ts';

/** What `serve` works with. */
export interface ServeContext {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Reads the configuration anew. */
  readonly load: () => LfoConfig;
  readonly startApp: (options: AppOptions) => Promise<RunningApp>;
}

/** A terminal's Ctrl-C reaches a launcher and us, and the launcher passes it on: two signals, one meant. */
const sameSignalMs = 500;
/** Within which a launcher has passed its half of a Ctrl-C on. */
const echoMs = 100;

/** Serves until a signal asks for the end; a second one ends the process at once. Resolves with the exit code. */
export async function serve(initial: LfoConfig, context: ServeContext): Promise<number> {
  const { terminal, clock } = context;
  const secrets = new Secrets(secretsOf(initial));
  const logger = createLogger({
    level: initial.logLevel,
    secrets,
    clock,
    ...(terminal.isInteractive && { destination: terminalLog(terminal.output, coloursFor(terminal)) }),
  });
  const reporter = terminal.isInteractive
    ? terminalReporter(terminal.output, coloursFor(terminal), clock)
    : logReporter(logger, clock);
  for (const warning of initial.warnings) logger.warn(warning);
  terminal.onCrash((error) => {
    logger.fatal({ err: error }, 'LFO has failed because of an internal error and ends.');
    terminal.exitNow(exitCodes.failed);
  });
  const end = endOf(terminal, clock);
  const config = createConfigHandle(initial, context.load);
  try {
    makeDataFolder(initial.dataDir, logger);
    // The monotonic clock of a process starts with it.
    const app = await start(context, { config, clock, logger, processStartMs: 0, startup: reporter });
    const stopReloading = reloadOnChange(config, { logger, secrets, terminal, clock });
    const signal = await end.requested;
    reporter.stop();
    stopReloading();
    logger.info({ signal }, 'Shutting down; running requests are finished first.');
    await app.close();
    await end.reached();
    logger.info('Done.');
    return exitCodes.done;
  } catch (error) {
    end.forget();
    throw error;
  } finally {
    reporter.stop();
  }
}

async function start({ startApp }: ServeContext, options: AppOptions): Promise<RunningApp> {
  const { host, port } = options.config.current().server;
  try {
    return await startApp(options);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EADDRINUSE')
      throw new CliError(
        `Port ${port} is taken: stop the other program, or choose another port with PORT=${port + 1}.`,
      );
    if (code === 'EACCES') throw new CliError(`Port ${port} is reserved for root: choose a PORT of 1024 or more.`);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new CliError(`${host} is not an address of this machine: correct HOST.`);
    throw error;
  }
}

/** Before the model's child makes folders inside it; the router serves without a folder all the same. */
function makeDataFolder(path: string, logger: Logger): void {
  try {
    createDataFolder(path);
  } catch (error) {
    logger.warn({ err: error, path }, 'The data folder cannot be made; nothing is recorded. See lfo doctor.');
  }
}

interface End {
  /** Resolves with the first signal. */
  readonly requested: Promise<string>;
  /** Everything is closed, and no signal makes a failure of that; resolves once the echo of a Ctrl-C has come too. */
  reached(): Promise<void>;
  /** Leaves signals to the process. */
  forget(): void;
}

function endOf(terminal: Terminal, clock: Clock): End {
  const { promise, resolve } = Promise.withResolvers<string>();
  let firstAtMs: number | undefined;
  let isReached = false;
  const stops = (['SIGTERM', 'SIGINT'] as const).map((signal) =>
    terminal.onSignal(signal, () => {
      const isSecond = firstAtMs !== undefined && clock.nowMs() - firstAtMs > sameSignalMs;
      if (isSecond && !isReached) terminal.endNow();
      firstAtMs ??= clock.nowMs();
      resolve(signal);
    }),
  );
  return {
    requested: promise,
    async reached() {
      isReached = true;
      const waitMs = (firstAtMs ?? -Infinity) + echoMs - clock.nowMs();
      // A signal that meets a process on its last steps would end it as a failure.
      if (waitMs > 0) await sleep(clock, waitMs, new AbortController().signal);
    },
    forget: () => stops.forEach((stop) => stop()),
  };
}

interface ReloadContext extends Pick<ServeContext, 'terminal' | 'clock'> {
  readonly logger: Logger;
  /** Told of those of every configuration that comes into force. */
  readonly secrets: Secrets;
}

function reloadOnChange(config: ReloadableConfig, { logger, secrets, terminal, clock }: ReloadContext): () => void {
  const reload = (): void => {
    const result = config.reload();
    secrets.add(secretsOf(config.current()));
    report(result, config, logger);
  };
  const { file } = config.current();
  const stopSignal = terminal.onSignal('SIGHUP', reload);
  const stopWatching = file === undefined ? (): void => {} : watchFile(file, clock, reload);
  return () => {
    stopSignal();
    stopWatching();
  };
}

function report(result: ReloadResult, config: ReloadableConfig, logger: Logger): void {
  switch (result.type) {
    case 'unchanged':
      logger.info('The configuration is unchanged.');
      break;
    case 'refused':
      logger.error({ err: result.error }, 'The new configuration is broken; the old one stays in force.');
      break;
    case 'applied':
      logger.level = config.current().logLevel;
      logger.info({ settings: result.changed }, 'The configuration was reloaded.');
      if (result.restart.length > 0) {
        logger.warn({ settings: result.restart }, 'These settings have changed and need a restart.');
      }
  }
}
