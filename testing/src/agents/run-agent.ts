import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TriedAgent } from './agents.ts';
import { pointedAt, snippetUnder } from './snippet.ts';

export interface AgentRun {
  readonly agent: TriedAgent;
  readonly model: string;
  /** Address of the router. */
  readonly base: string;
  /** Text of `docs/clients.md`, whose snippet is used as it stands. */
  readonly page: string;
  /** Where the agent's command lies. */
  readonly bin: string;
  /** An empty folder. */
  readonly home: string;
  readonly longestMs: number;
}

/** Has an agent answer one prompt for which it must use its shell; everything it printed. */
export async function runAgent({ agent, model, base, page, bin, home, longestMs }: AgentRun): Promise<string> {
  const snippet = snippetUnder(page, agent.name);
  const text = pointedAt(snippet.text, base, model);
  const files = { ...agent.files, ...(snippet.file !== undefined && { [snippet.file]: text }) };
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(home, path, '..'), { recursive: true });
    writeFileSync(join(home, path), content);
  }
  const command = agent.command ?? text;
  const quoted = agent.arguments('Use the shell to echo a marker, then say done.').map((word) => `'${word}'`);
  const child = spawn('sh', ['-c', `exec env ${command} ${quoted.join(' ')}`], {
    cwd: home,
    env: { PATH: `${bin}:${process.env['PATH']}`, HOME: home, TERM: 'dumb', ...agent.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  // With all that it started.
  const timer = setTimeout(() => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL'), longestMs);
  await once(child, 'exit');
  clearTimeout(timer);
  return output;
}
