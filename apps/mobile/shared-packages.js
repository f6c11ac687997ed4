/**
 * The packages of this repository that run in the app are read where they are, as source: a copy could be stale. Their
 * own dependencies come out of the app's node_modules.
 */
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const packages = join(__dirname, '..', '..', 'packages');

/** Each name that may be imported, and its file. */
const sources = Object.fromEntries(
  ['protocol', 'device-core'].flatMap((folder) => {
    const { name, exports } = JSON.parse(readFileSync(join(packages, folder, 'package.json'), 'utf8'));
    return Object.entries(exports).map(([path, file]) => [name + path.slice(1), join(packages, folder, file)]);
  }),
);

module.exports = {
  packages,
  sources,
  isShared: (file) => file.startsWith(packages),
};
