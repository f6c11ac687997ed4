import { configJsonSchema } from '../packages/router/src/config/json-schema.ts';
import { configReference } from '../packages/router/src/config/reference.ts';
import { apiReference } from './api-reference.ts';
import { cliReference } from './cli-reference.ts';

/** Files that are generated from the code, by their place in the repository. */
export const generated: readonly (readonly [file: string, render: () => string])[] = [
  ['packages/router/lfo.schema.json', () => `${JSON.stringify(configJsonSchema(), null, 2)}\n`],
  ['docs/configuration.md', configReference],
  ['docs/cli.md', cliReference],
  ['docs/api.md', apiReference],
];
