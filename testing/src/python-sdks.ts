import { existsSync } from 'node:fs';

/** Where `.ci/set-up` puts the SDKs for Python that documents and examples use. */
export const pythonSdks = '/usr/local/lib/lfo-python-sdks';

/** Why nothing of Python's SDKs can run here; `false` where it can. */
export const withoutPythonSdks: string | false = existsSync(`${pythonSdks}/openai`)
  ? false
  : 'needs the SDKs for Python: run .ci/set-up';
