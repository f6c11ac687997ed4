import { existsSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { isJsonObject, parseJson, type JsonObject } from '@lfo/router/src/core/json.ts';

/** Where the shared reference data lies: `LFO_REFERENCE_DATA`, or beside the clone; undefined where there is none. */
export function findData(): URL | undefined {
  const named = process.env['LFO_REFERENCE_DATA'];
  const places =
    named === undefined
      ? ['../shared/data/', '../../shared/data/'].map((path) => new URL(path, new URL('..', import.meta.url)))
      : [pathToFileURL(`${named}/`)];
  return places.find((url) => existsSync(new URL('bfcl/', url)));
}

/** JSON objects of a `.jsonl` or `.jsonl.gz` file, one a line; a half last line is left out. */
export function readLines(file: URL): readonly JsonObject[] {
  const bytes = readFileSync(file);
  const content = file.pathname.endsWith('.gz') ? gunzipSync(bytes) : bytes;
  return content.toString('utf8').split('\n').map(parseJson).filter(isJsonObject);
}
