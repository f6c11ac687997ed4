import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pythonSdks } from './sdks/sdk-folders.ts';

/** Why no page or example in Python can run here; `false` where they can. */
export const withoutPythonSdks: string | false = existsSync(join(pythonSdks, 'langchain_openai'))
  ? false
  : 'needs the SDKs for Python: run .ci/set-up';
