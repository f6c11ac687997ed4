import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LfoConfig } from '../../config/config.ts';
import { type Clock, sleep } from '../../core/clock.ts';
import type { Archive } from '../../records/archive.ts';
import { broken, type Check, passed } from '../doctor/check.ts';
import type { RouterClient } from '../router-client.ts';
import { CliError, type Terminal } from '../terminal.ts';
import { type Agent, agentNamed } from './agents.ts';
import { programOf, targetOf } from './launch.ts';

/** Longest wait for an agent's one answer. */
const agentMs = 120_000;
/** A record is written a moment after its answer. */
const recordMs = 5_000;

/** Asks an agent one thing, as it is configured now, and looks whether its request has arrived here. */
export async function checkClient(
  terminal: Terminal,
  config: LfoConfig,
  parts: { readonly client: RouterClient; readonly archive: Archive; readonly clock: Clock },
  name: string,
): Promise<readonly Check[]> {
  const agent = agentNamed(name);
  if (agent === undefined) throw new CliError(`No agent is called "${name}".`, 2);
  const program = programOf(agent, terminal);
  if (program === undefined) return [broken(name, `${agent.title} is not installed`, agent.install)];
  const { clock, archive } = parts;
  const target = await targetOf(terminal, config, parts.client, agent, undefined);
  const sinceMs = clock.wallMs();
  const cwd = mkdtempSync(join(tmpdir(), 'lfo-doctor-'));
  const args = agent.headless('Answer with the one word "ready".', target);
  const env = { ...terminal.env, ...agent.variables(target) };
  const code = await headless(program, args, { cwd, env }).finally(() => rmSync(cwd, { recursive: true, force: true }));
  const found = await arrived(archive, agent, sinceMs, clock);
  if (found === undefined) {
    const why = `${agent.title} ended with code ${code ?? 'none'}, and none of its requests arrived here`;
    return [broken(name, why, `run "lfo launch ${name}"`)];
  }
  const said = `its request arrived (${found.dialect ?? agent.dialect}, ${found.model ?? 'no model'}, status ${found.status})`;
  if (found.status >= 400) return [broken(name, said, `see "lfo requests --limit 1"`)];
  return [passed(name, said)];
}

async function arrived(archive: Archive, { dialect }: Agent, sinceMs: number, clock: Clock) {
  const untilMs = clock.nowMs() + recordMs;
  while (true) {
    const rows = await Array.fromAsync(archive.requests({ sinceMs }, 50)).catch(() => []);
    const found = rows.find((row) => row.dialect === dialect);
    if (found !== undefined || clock.nowMs() >= untilMs) return found;
    await sleep(clock, 250, new AbortController().signal);
  }
}

function headless(
  program: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<number | null> {
  const child = spawn(program, args, { cwd, env, stdio: 'ignore', timeout: agentMs, killSignal: 'SIGKILL' });
  return new Promise((resolve) => {
    child.once('error', () => resolve(null));
    child.once('exit', resolve);
  });
}
