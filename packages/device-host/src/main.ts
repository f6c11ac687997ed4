import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { childMain } from './child-main.ts';
import { systemClock } from './clock.ts';
import { ModelError } from './models/model-error.ts';
import { deviceCommand } from './device/device-command.ts';
import { modelsCommand, type ModelsCommandHost } from './models-command.ts';
import { progressBar, progressLines } from './progress-display.ts';

/** The `lfo-device-host` command line, which `lfo` starts too. Sets the exit code: 0 done, 1 failed, 2 wrong usage. */
export async function main(argv: readonly string[]): Promise<void> {
  // Its help names what was typed.
  const name = process.env.LFO_LAUNCHER_PID === undefined ? 'lfo-device-host' : 'lfo';
  const program = new Command(name).description('hosts a model behind the device protocol');
  program
    .command('child', { hidden: true })
    .argument('<options>', 'JSON')
    .action((options: string) => childMain(options));
  const terminal = terminalHost();
  program.addCommand(modelsCommand(terminal));
  program.addCommand(deviceCommand({ ...terminal, deviceDir: deviceDirOf(process.env) }));
  throwInsteadOfExit(program);
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    process.exitCode = exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (!(error instanceof ModelError)) throw error;
  process.stderr.write(`${error.message}\n`);
  return 1;
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const each of command.commands) throwInsteadOfExit(each);
}

function terminalHost(): ModelsCommandHost {
  const { env, stderr } = process;
  const abort = new AbortController();
  const progress = stderr.isTTY
    ? progressBar(stderr, systemClock)
    : progressLines((line) => stderr.write(`${line}\n`), systemClock);
  return {
    modelsDir: modelsDirOf(env),
    offline: env.LFO_OFFLINE === '1' || env.LFO_OFFLINE === 'true',
    ...(env.LFO_MODEL_BASE_URL ? { baseUrl: env.LFO_MODEL_BASE_URL } : {}),
    signal: () => {
      const stop = (): void =>
        abort.abort(new ModelError('stopped', 'Stopped. What was fetched is kept; run it again to go on.'));
      // Kept: a library of the engine ends the process at a signal that nobody listens to any more.
      process.on('SIGINT', stop).on('SIGTERM', stop);
      whenAlone(env.LFO_LAUNCHER_PID, stop);
      return abort.signal;
    },
    print: (line) => process.stdout.write(`${line}\n`),
    progress,
  };
}

/** Who was killed cannot pass a signal on: a device host whose `lfo` has gone ends too. */
function whenAlone(launcher: string | undefined, run: () => void): void {
  if (launcher === undefined || process.ppid !== Number(launcher)) return;
  const look = setInterval(() => {
    if (process.ppid === Number(launcher)) return;
    clearInterval(look);
    run();
  }, aloneMs);
  look.unref();
}

const aloneMs = 1_000;

/** Where a device host keeps its key and its router. */
function deviceDirOf(env: NodeJS.ProcessEnv): string {
  if (env.LFO_DATA_DIR) return resolve(env.LFO_DATA_DIR, 'device');
  return join(env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'lfo', 'device');
}

/** The same folder that the router uses, with the same variables. */
function modelsDirOf(env: NodeJS.ProcessEnv): string {
  if (env.LFO_MODELS_DIR) return resolve(env.LFO_MODELS_DIR);
  if (env.LFO_DATA_DIR) return resolve(env.LFO_DATA_DIR, 'models');
  return join(env.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'lfo', 'models');
}
