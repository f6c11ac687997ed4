import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** Where the reference data lies: the folder that `LFO_REFERENCE_DATA` names, else `shared/data` beside the checkout. */
export const referenceData: string = folderOf(process.env['LFO_REFERENCE_DATA']);

/** Why nothing can be compared with it here, or `false`: for the `skip` option of a test. */
export const withoutReferenceData: string | false = existsSync(referenceData)
  ? false
  : 'the reference data is not beside this checkout';

/** The same folder as an address, `undefined` where it is not. */
export function referenceDataUrl(): URL | undefined {
  return withoutReferenceData === false ? new URL(`${pathToFileURL(referenceData).href}/`) : undefined;
}

function folderOf(named: string | undefined): string {
  if (named === undefined || named === '') return join(import.meta.dirname, '../../../shared/data');
  if (!existsSync(named)) throw new Error(`LFO_REFERENCE_DATA names ${named}, which is not there.`);
  return named;
}
