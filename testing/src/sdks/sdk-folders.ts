import { join } from 'node:path';

const folder = process.env['LFO_SDKS_DIR'] ?? '/usr/local/lib/lfo-sdks';

/** Where `.ci/set-up` has put what tests use and the workspace does not hold. */
export const pythonSdks = join(folder, 'python');
export const jsSdks = join(folder, 'js');
export const agentsFolder = join(folder, 'agents');
