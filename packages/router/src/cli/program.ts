import { isNativeError } from 'node:util/types';
import { Argument, Command, CommanderError, Option } from 'commander';
import { type Archive, ArchiveError } from '../records/archive.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { ConfigError } from '../config/config-error.ts';
import { LfoError } from '../core/errors.ts';
import type { LfoConfig } from '../config/config.ts';
import type { LoadOptions } from '../config/load.ts';
import type { AppOptions, RunningApp } from '../app/running-app.ts';
import { completionScript, shells, type Shell } from './completion.ts';
import { agentNames } from './launch/agent-names.ts';
import { addDevices } from './device-program.ts';
import { addKeys } from './key-program.ts';
import type { KeyStore } from '../keys/key-store.ts';
import { addRecords } from './record-program.ts';
import type { RouterClient } from './router-client.ts';
import { CliError, coloursFor, exitCodes, type Terminal } from './terminal.ts';

export interface ProgramDeps {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** `0.1.0` */
  readonly version: string;
  /** `linux-x64` */
  readonly machine: string;
  /** Loaded when serving begins, so that other commands start fast. */
  readonly startApp: (options: AppOptions) => Promise<RunningApp>;
  /** 0..1, uniform. */
  readonly random: () => number;
  /** Loaded when records are read. */
  readonly openArchive: (config: LfoConfig) => Promise<Archive>;
  /** The device host as a file for npm. */
  readonly devicePackage: () => Promise<Buffer>;
  /** Loaded when keys are handled. */
  readonly openKeyStore: (config: LfoConfig) => Promise<KeyStore>;
}

interface Common {
  readonly config?: string;
  readonly json?: boolean;
  readonly url?: string;
  readonly mode?: string;
  readonly offline?: boolean;
}

/** Runs one command line (without node and script) and resolves with its exit code: 0, 1 failed, 2 wrong usage. */
export async function runCli(argv: readonly string[], deps: ProgramDeps): Promise<number> {
  const { terminal } = deps;
  let exitCode: number = exitCodes.done;
  const program = buildProgram(deps, (code) => (exitCode = code));
  throwInsteadOfExit(program, terminal);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return await report(error, argv, deps);
  }
}

/** The tree of commands; each hands its exit code to `done`. */
export function buildProgram(deps: ProgramDeps, done: (exitCode: number) => void): Command {
  const program = new Command('lfo')
    .description('One OpenAI-compatible endpoint in front of local and cloud models.')
    .version(deps.version)
    .option('-c, --config <file>', 'configuration file instead of lfo.yaml')
    .showSuggestionAfterError();
  const all = (command: Command): Common => command.optsWithGlobals<Common>();
  const load: Load = async (options, how) => (await loaderOf(deps, options, how))();
  addServing(program, deps, load, all, done);
  addTalking(program, deps, load, all, done);
  addLooking(program, deps, load, all, done);
  addLaunch(program, deps, load, all, done);
  addKeys(program, async (command, run) => {
    const options = all(command);
    const keyStore = await deps.openKeyStore(await load(options, { opensNoPort: true }));
    try {
      done(await run({ terminal: deps.terminal, clock: deps.clock, keyStore, json: options.json === true }));
    } finally {
      await keyStore.close();
    }
  });
  addDevices(
    program,
    async (command, run) => {
      const options = all(command);
      const pause = (ms: number): Promise<void> => sleep(deps.clock, ms, new AbortController().signal);
      const json = options.json === true;
      done(
        await withClient(options, await load(options), (client) =>
          run({ terminal: deps.terminal, client, json, pause }),
        ),
      );
    },
    async (command, out) => {
      const { packDeviceHost } = await import('./pack-device-host.ts');
      done(await packDeviceHost(deps.terminal, deps.devicePackage, { out, json: all(command).json === true }));
    },
  );
  addRecords(program, deps.clock, async (command, run) => {
    const options = all(command);
    const config = await load(options, { opensNoPort: true });
    const archive = await deps.openArchive(config);
    try {
      done(await run({ terminal: deps.terminal, clock: deps.clock, archive, config, json: options.json === true }));
    } finally {
      await archive.close();
    }
  });
  return program;
}

/** Reads the configuration, as often as it is called. Its schema is loaded now, by the commands that need it. */
async function loaderOf(
  { terminal: { env, cwd } }: Pick<ProgramDeps, 'terminal'>,
  { config }: Common,
  how: Reading = {},
): Promise<() => LfoConfig> {
  const { loadConfig } = await import('../config/load.ts');
  return () => loadConfig({ env, cwd, ...how, ...(config === undefined ? {} : { file: config }) });
}

interface DemoFlags {
  readonly port: string;
  readonly seconds?: string;
  readonly rate?: string;
  readonly open: boolean;
  readonly json?: true;
}

type Reading = Pick<LoadOptions, 'allowUnset' | 'opensNoPort'>;
type Load = (options: Common, how?: Reading) => Promise<LfoConfig>;
type All = (command: Command) => Common;
type Done = (exitCode: number) => void;

function addServing(program: Command, deps: ProgramDeps, load: Load, all: All, done: Done): void {
  const { terminal, clock, startApp } = deps;
  withExample(program.command('serve'), 'PORT=9000 lfo serve')
    .description('serve the API until stopped')
    .option('--json', 'JSON lines also on a terminal')
    .action(async (_options, command: Command) => {
      const options = all(command);
      const { serve } = await import('./serve.ts');
      const quiet = options.json === true ? { ...terminal, isInteractive: false } : terminal;
      const read = await loaderOf(deps, options);
      done(await serve(read(), { terminal: quiet, clock, load: read, startApp }));
    });
  withExample(program.command('device'), "lfo device --pair 'lfo://pair?v=1&r=router&…'")
    .description('serve a model of this machine to a router on another')
    .argument('[options...]', 'as "lfo device help" lists them')
    .allowUnknownOption()
    .action(async (args: readonly string[], _options, command: Command) => {
      const { deviceHost } = await import('./device-host.ts');
      const given = args[0] === 'help' ? ['--help'] : args;
      done(await deviceHost(terminal, await load(all(command), { opensNoPort: true }), ['device', ...given]));
    });
  withExample(program.command('demo'), 'lfo demo --seconds 60')
    .description('a router with six scripted devices, traffic and two days of records, to look at')
    .addOption(new Option('--port <port>', 'of the router').default('0', 'a free one'))
    .option('--seconds <n>', 'end by itself after so long')
    .option('--rate <n>', 'requests a second')
    .option('--no-open', 'leave the browser alone')
    .option('--json', 'one line of JSON at the start and at the end')
    .action(async (options: DemoFlags) => {
      const { demo } = await import('./demo/demo.ts');
      const { random } = deps;
      done(
        await demo(
          { ...options, json: options.json === true, isOpened: options.open },
          { terminal, clock, random, startApp },
        ),
      );
    });
  const models = withExample(program.command('models'), 'lfo models list').description('models on this machine');
  const run = async (command: Command, args: readonly string[]): Promise<void> => {
    const options = all(command);
    const { deviceHost } = await import('./device-host.ts');
    const asked = options.json === true ? [...args, '--json'] : args;
    done(await deviceHost(terminal, await load(options, { opensNoPort: true }), ['models', ...asked]));
  };
  withExample(models.command('list'), 'lfo models list --json')
    .description('what can be had and what is here')
    .option('--json', 'JSON for scripts')
    .action((_options, command: Command) => run(command, ['list']));
  withExample(models.command('pull'), 'lfo models pull qwen2.5-coder-1.5b')
    .description('fetch a model and verify it')
    .argument('[model]', 'name of the catalogue, or hf:owner/repository/file.gguf')
    .option('--json', 'JSON for scripts')
    .action((model: string | undefined, _options, command: Command) =>
      run(command, ['pull', ...(model === undefined ? [] : [model])]),
    );
  withExample(models.command('remove'), 'lfo models remove smollm2-135m')
    .description('delete a model from the models folder')
    .argument('<model>', 'a name as "models list" shows it')
    .option('--json', 'JSON for scripts')
    .action((model: string, _options, command: Command) => run(command, ['remove', model]));
}

function addTalking(program: Command, deps: ProgramDeps, load: Load, all: All, done: Done): void {
  const { terminal } = deps;
  withExample(program.command('chat'), 'lfo chat "What is 2+2?"')
    .description('ask a running LFO one question, or talk with it in the terminal')
    .argument('[question]', 'answered, and then the command ends')
    .addOption(modeOption())
    .addOption(urlOption())
    .option('--json', 'one JSON line an answer')
    .action(async (question: string | undefined, _options, command: Command) => {
      const options = all(command);
      const { ask, chat } = await import('./chat.ts');
      const settings = { mode: options.mode ?? 'auto', json: options.json === true };
      done(
        await withClient(options, await load(options), (client) =>
          question === undefined ? chat(terminal, client, settings) : ask(terminal, client, settings, question),
        ),
      );
    });
  withExample(program.command('bridge'), 'lfo bridge --port 5555')
    .description("answer the original's POST /completion by a running LFO")
    .option('--host <address>', 'address of this machine to listen on', '127.0.0.1')
    .addOption(new Option('--port <port>', 'port to listen on').env('BRIDGE_PORT').default('5555'))
    .option('--router <address>', 'address of the running LFO (default: the one this configuration describes)')
    .action(async ({ host, port, router }: { host: string; port: string; router?: string }, command: Command) => {
      const { bridge } = await import('./bridge.ts');
      const options = { ...all(command), ...(router === undefined ? {} : { url: router }) };
      const number = Number(port);
      if (!Number.isInteger(number) || number < 0 || number > 65_535) throw new CliError(`--port ${port}: no port.`, 2);
      done(
        await withClient(options, await load(options), (client) =>
          bridge(terminal, client, deps.clock, { host, port: number }),
        ),
      );
    });
  withExample(program.command('explain'), 'lfo explain "What is 2+2?"')
    .description('where a prompt would go, and why')
    .argument('<prompt>')
    .addOption(modeOption())
    .addOption(urlOption())
    .option('--json', 'JSON for scripts')
    .action(async (prompt: string, _options, command: Command) => {
      const options = all(command);
      const { explain } = await import('./explain.ts');
      const settings = { mode: options.mode ?? 'auto', json: options.json === true };
      done(await withClient(options, await load(options), (client) => explain(terminal, client, prompt, settings)));
    });
}

function addLaunch(program: Command, { terminal }: ProgramDeps, load: Load, all: All, done: Done): void {
  program
    .command('launch')
    .description('point an agent at the running LFO and start it')
    .addArgument(new Argument('<agent>').choices(agentNames))
    .argument('[args...]', 'for the agent, after --')
    .option('--model <id>', 'instead of the one with enough context that is found')
    .option('--config-only', 'write its configuration, print the variables it needs, and stop')
    .option('--restore', 'put its configuration back as it was')
    .addOption(urlOption())
    .addHelpText(
      'after',
      '\nExamples:\n  lfo launch claude\n  lfo launch codex -- exec "What is this repository?"\n  lfo launch claude --restore',
    )
    .action(async (agent: string, args: readonly string[], flags: LaunchFlags, command: Command) => {
      const options = all(command);
      const config = await load(options);
      const { launch } = await import('./launch/launch.ts');
      const { model, configOnly = false, restore = false } = flags;
      const settings = { agent, args, configOnly, restore, ...(model === undefined ? {} : { model }) };
      const run = (client: RouterClient): Promise<number> => launch(terminal, config, client, settings);
      done(await withClient(options, config, run));
    });
}

interface LaunchFlags {
  readonly model?: string;
  readonly configOnly?: boolean;
  readonly restore?: boolean;
}

function addLooking(program: Command, deps: ProgramDeps, load: Load, all: All, done: Done): void {
  const { terminal, clock, machine, openKeyStore, openArchive } = deps;
  withExample(program.command('doctor'), 'lfo doctor --json')
    .description('check what LFO needs on this machine')
    .addOption(
      new Option('--client <agent>', 'instead: have this agent ask one thing, and check that it arrives here').choices(
        agentNames,
      ),
    )
    .option('--offline', 'call no backend; otherwise cloud backends give two small answers, which are paid')
    .addOption(urlOption())
    .option('--json', 'JSON for scripts')
    .action(async (_options, command: Command) => {
      const options = all(command);
      const { doctor } = await import('./doctor/doctor.ts');
      const config = await load(options);
      const { client: agent } = command.opts<{ readonly client?: string }>();
      if (agent !== undefined) return done(await doctorClient(deps, config, options, agent));
      const live = options.offline !== true && !config.offline;
      const settings = { json: options.json === true, live, machine, openKeys: openKeyStore, openArchive };
      done(await withClient(options, config, (client) => doctor(terminal, config, client, clock, settings)));
    });
  const config = withExample(program.command('config'), 'lfo config show').description('the configuration in force');
  for (const name of ['check', 'show'] as const) {
    withExample(config.command(name), `lfo config ${name}`)
      .description(
        name === 'check'
          ? 'say what is wrong, and in which line'
          : 'print it as a file that "config check" takes; variables stand for secrets',
      )
      .option('--json', 'JSON for scripts')
      .action(async (_options, command: Command) => {
        const options = all(command);
        const { checkConfig, showConfig } = await import('./config-command.ts');
        const json = options.json === true;
        done(
          name === 'check'
            ? checkConfig(terminal, await load(options, { allowUnset: true }), json)
            : showConfig(terminal, await load(options), json),
        );
      });
  }
  withExample(program.command('completion'), 'lfo completion bash > /etc/bash_completion.d/lfo')
    .description('print a completion script for a shell')
    .addArgument(new Argument('<shell>').choices(shells))
    .action((shell: Shell) => {
      terminal.output.write(completionScript(shell, program));
    });
}

async function doctorClient(
  { terminal, clock, openArchive }: ProgramDeps,
  config: LfoConfig,
  options: Common,
  agent: string,
): Promise<number> {
  const { checkClient } = await import('./launch/check-client.ts');
  const { reportChecks } = await import('./doctor/doctor.ts');
  const archive = await openArchive(config);
  const json = options.json === true;
  const check = async (client: RouterClient): Promise<number> => {
    const checks = await checkClient(terminal, config, { client, archive, clock }, agent);
    return reportChecks(terminal, checks, json);
  };
  try {
    return await withClient(options, config, check);
  } finally {
    await archive.close();
  }
}

async function withClient(
  { url }: Common,
  config: LfoConfig,
  use: (client: RouterClient) => Promise<number>,
): Promise<number> {
  const { addressOf, RouterClient } = await import('./router-client.ts');
  const client = new RouterClient(url ?? addressOf(config), config.server.authToken);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

function withExample(command: Command, example: string): Command {
  return command.addHelpText('after', `\nExample:\n  ${example}`);
}

function modeOption(): Option {
  return new Option('-m, --mode <mode>', 'where answers may come from')
    .choices(['auto', 'local', 'cloud'])
    .default('auto');
}

function urlOption(): Option {
  return new Option('--url <address>', 'address of the running LFO (default: the one this configuration describes)');
}

function throwInsteadOfExit(command: Command, terminal: Terminal): void {
  command.exitOverride();
  command.configureOutput({
    writeOut: (text) => void terminal.output.write(text),
    writeErr: (text) => void terminal.errors.write(text),
    getOutHasColors: () => coloursFor(terminal).isColorSupported,
  });
  for (const each of command.commands) throwInsteadOfExit(each, terminal);
}

async function report(error: unknown, argv: readonly string[], { terminal, clock }: ProgramDeps): Promise<number> {
  // Commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (isSystemError(error)) {
    terminal.errors.write(`${coloursFor(terminal).red(`${error.message}. See lfo doctor.`)}\n`);
    return exitCodes.failed;
  }
  if (!(error instanceof LfoError) && !(error instanceof CliError) && !(error instanceof ArchiveError)) throw error;
  if (argv.includes('serve') && !terminal.isInteractive) {
    const problems = error instanceof ConfigError ? { problems: error.problems } : {};
    const { createLogger } = await import('../telemetry/log.ts');
    createLogger({ level: 'fatal', clock, destination: terminal.output }).fatal(problems, error.message);
  } else if (argv.includes('--json') && error instanceof ConfigError) {
    terminal.output.write(`${JSON.stringify({ ok: false, problems: error.problems })}\n`);
  } else terminal.errors.write(`${coloursFor(terminal).red(error.message)}\n`);
  // Nothing mends it but a new configuration: a service manager need not try again.
  if (argv.includes('serve') && error instanceof ConfigError) return exitCodes.usage;
  return error instanceof CliError ? error.exitCode : exitCodes.failed;
}

/** A folder that is not there, a disk that is full, a file that may not be read: an operator can cause it and mend it. */
function isSystemError(error: unknown): error is Error {
  return isNativeError(error) && 'syscall' in error && 'code' in error;
}
