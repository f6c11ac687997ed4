import type * as z from 'zod';

import { RequestError } from '../core/errors.ts';

type Issue = z.core.$ZodIssue;

const maxParamLength = 200;

/** The first thing wrong with a body, as the error its sender sees; never quotes a value. */
export function requestErrorOf(error: z.ZodError): RequestError {
  const [first] = error.issues;
  if (first === undefined) return new RequestError('The request body is invalid.');
  const issue = deepest(first, []);
  const param = paramOf(issue.path);
  if (param === '') return new RequestError('The request body must be a JSON object.', { code: 'invalid_type' });
  const missing = issue.code === 'invalid_type' && issue.message.endsWith('received undefined');
  return new RequestError(`${param}: ${missing ? 'is required' : wording(issue.message)}.`, {
    code: missing ? 'missing_required_parameter' : 'invalid_value',
    param,
  });
}

/** Path of a field as OpenAI writes it: `messages[2].content[0].text`. */
function paramOf(path: readonly PropertyKey[]): string {
  let param = '';
  for (const key of path) param += typeof key === 'number' ? `[${key}]` : `${param === '' ? '' : '.'}${String(key)}`;
  return param.slice(0, maxParamLength);
}

/** Of a union's branches the one that got furthest is the one the sender meant. */
function deepest(issue: Issue, prefix: readonly PropertyKey[]): Issue {
  const here: Issue = { ...issue, path: [...prefix, ...issue.path] };
  if (issue.code !== 'invalid_union') return here;
  let best: Issue | undefined;
  for (const branch of issue.errors) {
    const [first] = branch;
    if (first === undefined) continue;
    const candidate = deepest(first, here.path);
    if (best === undefined || candidate.path.length > best.path.length) best = candidate;
  }
  return best === undefined || best.path.length === here.path.length ? here : best;
}

function wording(message: string): string {
  return (
    message.replace(/^Invalid input(?:: )?/, '').replace(/^Invalid (?=.)/, 'invalid ') || 'has the wrong type or form'
  );
}
