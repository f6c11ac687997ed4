import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { makeFolder } from '../../../bin/make-folder.js';
import { parseJson } from '../../core/json.ts';
import { CliError } from '../terminal.ts';
import type { AgentFile } from './agents.ts';

const manifest = z.array(
  z.object({
    path: z.string(),
    /** As it was before the first change; `null` where there was no file. */
    original: z.string().nullable(),
    /** SHA-256 of what was written last. */
    written: z.string(),
  }),
);

type Manifest = z.infer<typeof manifest>;

/** What became of one file on the way back. */
export interface Restored {
  readonly path: string;
  readonly outcome: 'restored' | 'removed' | 'changed_since';
}

/** Files of agents as they were before LFO wrote to them, in the data folder. */
export class Backups {
  readonly #folder: string;

  constructor(dataDir: string) {
    this.#folder = join(dataDir, 'launch');
  }

  /**
   * Edits the files of an agent, what they were before kept; answers with those that changed. All or none: nothing is
   * written where one of them cannot be read.
   * @throws CliError
   */
  write(agent: string, files: readonly AgentFile[]): readonly string[] {
    const known = this.#read(agent);
    const edits = files.map(({ path, edit }) => {
      const old = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
      return { path, old, text: edited(path, old, edit) };
    });
    const changed = edits.filter(({ old, text }) => old !== text);
    const entries = edits.map(({ path, old, text }) => ({
      path,
      original: known.find((entry) => entry.path === path)?.original ?? (isKnown(known, path) ? null : (old ?? null)),
      written: digest(text),
    }));
    // An agent may have had its files elsewhere.
    const others = known.filter((entry) => !edits.some(({ path }) => path === entry.path));
    // The backup first: whatever comes then can be undone.
    makeFolder(this.#folder);
    if (entries.length > 0) {
      writeFileSync(this.#file(agent), JSON.stringify([...others, ...entries]), { mode: 0o600 });
    }
    for (const { path, text } of changed) {
      mkdirSync(dirname(path), { recursive: true });
      // It holds the key.
      writeFileSync(path, text, { mode: 0o600 });
      chmodSync(path, 0o600);
    }
    return changed.map(({ path }) => path);
  }

  /** Puts the files of an agent back, but for those that somebody has changed since. */
  restore(agent: string): readonly Restored[] {
    const entries = this.#read(agent);
    const results = entries.map((entry): Restored => {
      const { path, original, written } = entry;
      const now = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
      if (now !== undefined && digest(now) !== written) return { path, outcome: 'changed_since' };
      if (original === null) rmSync(path, { force: true });
      else writeFileSync(path, original);
      return { path, outcome: original === null ? 'removed' : 'restored' };
    });
    const left = entries.filter(({ path }) =>
      results.some((one) => one.path === path && one.outcome === 'changed_since'),
    );
    if (left.length === 0) rmSync(this.#file(agent), { force: true });
    else writeFileSync(this.#file(agent), JSON.stringify(left), { mode: 0o600 });
    return results;
  }

  /** Where the backup of an agent lies. */
  fileOf(agent: string): string {
    return this.#file(agent);
  }

  #file(agent: string): string {
    return join(this.#folder, `${agent}.json`);
  }

  #read(agent: string): Manifest {
    const file = this.#file(agent);
    return existsSync(file) ? (manifest.safeParse(parseJson(readFileSync(file, 'utf8'))).data ?? []) : [];
  }
}

function isKnown(known: Manifest, path: string): boolean {
  return known.some((entry) => entry.path === path);
}

function edited(path: string, old: string | undefined, edit: AgentFile['edit']): string {
  try {
    return edit(old);
  } catch (error) {
    throw error instanceof CliError ? new CliError(`${path} ${error.message}.`, error.exitCode) : error;
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
