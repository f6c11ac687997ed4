import type { LfoError } from '../core/errors.ts';
import { errorBody } from '../server/error-body.ts';
import { anthropicError } from './anthropic/errors.ts';
import { googleError } from './gemini/errors.ts';
import { verbOf } from './gemini/verb.ts';
import { ollamaError } from './ollama/errors.ts';
import { modelListForm } from './model-list-form.ts';

/** What of a request decides the envelope of its error. */
export interface ErrorPlace {
  readonly id: string;
  /** With its query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** The error of a route in the words of its wire, for 401, 404 and bodies that cannot be read too. */
export function dialectErrorBody(error: LfoError, { id, url, headers }: ErrorPlace): object {
  const path = url.split('?', 1)[0] ?? url;
  if (path.startsWith('/v1/messages')) return anthropicError(error, id);
  if (path.startsWith('/v1beta/')) return googleError(error);
  if (path.startsWith('/api/')) return ollamaError(error);
  if (path === '/v1/models' || path.startsWith('/v1/models/')) {
    if (verbOf(path.slice('/v1/models/'.length)) !== undefined) return googleError(error);
    const form = modelListForm(headers);
    if (form === 'anthropic') return anthropicError(error, id);
    if (form === 'gemini') return googleError(error);
  }
  return errorBody(error);
}
