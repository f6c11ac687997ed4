import { spawn } from 'node:child_process';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { accessSync, constants } from 'node:fs';
import type { LfoConfig } from '../../config/config.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { RouterClient } from '../router-client.ts';
import { CliError, coloursFor, exitCodes, printLine, type Terminal } from '../terminal.ts';
import { type Agent, agentNamed, type AgentTarget } from './agents.ts';
import { Backups } from './backups.ts';

export interface LaunchSettings {
  readonly agent: string;
  /** For the agent. */
  readonly args: readonly string[];
  readonly model?: string;
  /** Write the configuration and stop. */
  readonly configOnly: boolean;
  readonly restore: boolean;
}

/** Points an agent at the running LFO and starts it; or puts its files back as they were. */
export async function launch(
  terminal: Terminal,
  config: LfoConfig,
  client: RouterClient,
  settings: LaunchSettings,
): Promise<number> {
  const agent = agentNamed(settings.agent);
  if (agent === undefined) throw new CliError(`No agent is called "${settings.agent}".`, exitCodes.usage);
  const backups = new Backups(config.dataDir);
  if (settings.restore) return restore(terminal, backups, settings.agent, agent);
  const target = await targetOf(terminal, config, client, agent, settings.model);
  const written = backups.write(settings.agent, agent.files(target));
  const { dim, green } = coloursFor(terminal);
  for (const path of written) terminal.errors.write(`${green('✓')} ${path}\n`);
  if (written.length > 0) {
    terminal.errors.write(dim(`  as it was: lfo launch ${settings.agent} --restore`) + '\n');
  }
  const variables = agent.variables(target);
  if (settings.configOnly) {
    for (const [name, value] of Object.entries(variables)) printLine(terminal, `export ${name}=${quoted(value)}`);
    return exitCodes.done;
  }
  const program = programOf(agent, terminal);
  if (program === undefined) {
    throw new CliError(`${agent.title} is configured but not installed: ${agent.install}`, exitCodes.failed);
  }
  terminal.errors.write(dim(`  ${agent.title} on ${target.model} at ${target.origin}`) + '\n');
  return run(terminal, program, settings.args, { ...terminal.env, ...variables });
}

/** Where the agent is to go, with a model whose context is large enough. @throws CliError where none is */
export async function targetOf(
  terminal: Terminal,
  config: LfoConfig,
  client: RouterClient,
  agent: Agent,
  asked: string | undefined,
): Promise<AgentTarget> {
  const { body, status } = await client.get('/v1/models');
  const models = isJsonObject(body) && Array.isArray(body['data']) ? body['data'].filter(isChat) : [];
  if (status !== 200) throw new CliError('LFO does not list its models: check the key (LFO_AUTH_TOKEN).');
  const chosen = asked === undefined ? roomiest(models, agent.neededTokens) : models.find(({ id }) => id === asked);
  if (asked !== undefined && chosen === undefined) {
    throw new CliError(`There is no model ${asked} here; there are ${models.map(({ id }) => id).join(', ')}.`);
  }
  const contextTokens = contextOf(chosen);
  if (chosen === undefined || (contextTokens ?? Infinity) < agent.neededTokens) {
    const largest = Math.max(0, ...models.map((model) => contextOf(model) ?? 0));
    const why = `${agent.title} needs a context of about ${agent.neededTokens} tokens with its own prompt and tools`;
    const remedy =
      'Set GEMINI_API_KEY, add a server with a larger model, or raise embedded.context_tokens where the model can.';
    if (asked === undefined) throw new CliError(`${why}, and the largest here has ${largest}. ${remedy}`);
    terminal.errors.write(
      `${coloursFor(terminal).yellow('!')} ${why}, and ${asked} has ${contextTokens ?? 0}. ${remedy}\n`,
    );
  }
  return {
    origin: client.url,
    key: config.server.authToken ?? 'none',
    model: chosen?.id ?? 'lfo-auto',
    ...(contextTokens !== undefined && { contextTokens }),
    env: terminal.env,
    home: terminal.env['HOME'] ?? homedir(),
  };
}

/** The program of an agent on the path. */
export function programOf({ binary }: Agent, { env }: Terminal): string | undefined {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, binary)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isChat(model: JsonValue): model is JsonObject & { readonly id: string } {
  if (!isJsonObject(model) || typeof model['id'] !== 'string') return false;
  const { capabilities } = model;
  return !Array.isArray(capabilities) || capabilities.includes('completion');
}

function contextOf(model: JsonObject | undefined): number | undefined {
  const tokens = model?.['context_length'];
  return typeof tokens === 'number' ? tokens : undefined;
}

/** `lfo-auto` where it has room or nobody knows; else the model with the largest context that is enough. */
function roomiest<M extends JsonObject>(models: readonly M[], needed: number): M | undefined {
  const auto = models.find((model) => model['id'] === 'lfo-auto');
  if (auto !== undefined && (contextOf(auto) ?? Infinity) >= needed) return auto;
  const [largest] = models
    .filter((model) => (contextOf(model) ?? 0) >= needed)
    .toSorted((one, other) => (contextOf(other) ?? 0) - (contextOf(one) ?? 0));
  return largest;
}

function restore(terminal: Terminal, backups: Backups, name: string, agent: Agent): number {
  const { green, yellow } = coloursFor(terminal);
  const restored = backups.restore(name);
  if (restored.length === 0) printLine(terminal, `There is nothing of ${agent.title} to restore.`);
  for (const { path, outcome } of restored) {
    const says = {
      restored: `${green('✓')} ${path} is as it was.`,
      removed: `${green('✓')} ${path} was not there before and is removed.`,
      changed_since: `${yellow('!')} ${path} was changed since and is left alone; what it was is in ${backups.fileOf(name)}.`,
    };
    printLine(terminal, says[outcome]);
  }
  return restored.some(({ outcome }) => outcome === 'changed_since') ? exitCodes.failed : exitCodes.done;
}

function run(
  terminal: Terminal,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const child = spawn(program, args, { stdio: 'inherit', env, cwd: terminal.cwd });
  // Ctrl-C reaches the agent by itself.
  const ignore = terminal.onSignal('SIGINT', () => {});
  const stop = terminal.onSignal('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? exitCodes.failed));
  }).finally(() => {
    ignore();
    stop();
  });
}

/** For a shell. */
function quoted(value: string): string {
  return /^[\w:/.@-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
