import { type LfoError, NoBackendError } from '../../core/errors.ts';

/** Ollama's error is one sentence; what LFO adds stands beside it. */
export function ollamaError(error: LfoError): object {
  const skipped = error instanceof NoBackendError && error.skipped.length > 0 ? { skipped: error.skipped } : {};
  return {
    error: (error.status === 401 ? error.message + clientsHeaders : error.message).toWellFormed(),
    code: error.code,
    param: error.param?.toWellFormed() ?? null,
    source: error.source,
    ...skipped,
  };
}

/** Ollama itself has no key, and its clients no field for one. */
const clientsHeaders =
  ' Clients of Ollama send headers: Client(headers={…}) in Python, new Ollama({ headers: {…} }) in JavaScript.';
