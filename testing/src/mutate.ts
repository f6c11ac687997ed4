/**
 * Loaded before a program by `--import`: changes its source while it is loaded, to show that a test notices. What to
 * change is JSON in `LFO_TEST_MUTATIONS`; a change that finds nothing to replace,
 * or several places, ends the program.
 */
import { registerHooks } from 'node:module';
import { isJsonObject, parseJson } from '@lfo/router/src/core/json.ts';

/** In the file whose path ends so, one text becomes another. */
export interface Mutation {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const parsed = parseJson(process.env['LFO_TEST_MUTATIONS'] ?? '[]');
const mutations = (Array.isArray(parsed) ? parsed : []).flatMap((entry): Mutation[] => {
  if (!isJsonObject(entry)) return [];
  const { file, find, replace } = entry;
  return typeof file === 'string' && typeof find === 'string' && typeof replace === 'string'
    ? [{ file, find, replace }]
    : [];
});

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const here = mutations.filter(({ file }) => url.endsWith(file));
    if (here.length === 0 || loaded.source === undefined || loaded.source === null) return loaded;
    const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    return { ...loaded, source: here.reduce(mutated, source) };
  },
});

function mutated(source: string, { file, find, replace }: Mutation): string {
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`${file} holds ${places} of: ${find}`);
  return source.replace(find, replace);
}
