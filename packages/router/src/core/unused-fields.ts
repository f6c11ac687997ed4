import type { Backend, CallContext } from './backend.ts';
import { BackendError } from './errors.ts';
import type { ChatRequest, Continuation, Sampling } from './request.ts';

type Warn = CallContext['warn'];

/** Names what a backend does not read of a request: fields that one kind of backend alone knows, which tells of them itself. */
export function warnOfUnused({ continuation, google }: ChatRequest, backend: Backend, warn: Warn): void {
  if (continuation !== undefined && backend.goesOnWithTexts !== true) warnOfMessage(continuation, warn);
  if (google !== undefined && backend.runsGoogleTools !== true) warnOfGoogleTools(google, warn);
}

/** Says that a text was answered as a user's message, and what of the request that leaves out. */
export function warnOfMessage({ bestOf }: Continuation, warn: Warn): void {
  warn('prompt', 'given to the model as the message of a user');
  if (bestOf !== undefined) warnOfOne(warn);
}

/** Says that of several texts one was made. */
export function warnOfOne(warn: Warn): void {
  warn('best_of', 'one answer is made');
}

/** Says that what only Google's servers do is not done. */
export function warnOfGoogleTools({ tools }: NonNullable<ChatRequest['google']>, warn: Warn): void {
  const kinds = tools.flatMap((tool) => Object.keys(tool)).map((name) => name.slice(0, 64));
  if (kinds.length > 0) warn('tools', `tools of the kind ${kinds.join(', ')} are not offered to the model`);
}

/** Names the settings of sampling that only some engines have. */
export function warnOfRareSampling(
  { topK, minP, repeatPenalty, verbosity }: RareSampling,
  warn: Warn,
  why: string,
): void {
  if (topK !== undefined) warn('top_k', why);
  if (minP !== undefined) warn('min_p', why);
  if (repeatPenalty !== undefined) warn('repeat_penalty', why);
  if (verbosity !== undefined) warn('verbosity', why);
}

type RareSampling = { readonly [Name in 'topK' | 'minP' | 'repeatPenalty' | 'verbosity']?: Sampling[Name] | undefined };

/** The middle of a text is wanted of a model that does not fill it in. */
export function withoutInfill(backend: string): BackendError {
  return new BackendError(
    'suffix: the backend does not fill in the middle of a text with this model. Leave it out, or ask for a model trained for it.',
    { fault: 'rejected', code: 'unsupported_by_backend', status: 400, param: 'suffix', backend },
  );
}
