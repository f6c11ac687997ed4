import { signal } from '@preact/signals';
import type { SessionBody } from '@lfo/router/src/admin/wire.ts';
import { go, place } from '../navigation.ts';

/** Who is looking; `undefined` until known. */
export const session = signal<SessionBody | undefined>(undefined);

/** What the router answered instead of what was asked for; the message is fit for people. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Asks the router for JSON. @throws ApiError; without a session it also goes to the form */
export async function ask<T>(path: string, options: RequestInit = {}): Promise<T> {
  const response = await request(path, options);
  const body: T = await response.json();
  return body;
}

interface PostOptions {
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Posts JSON with the session's CSRF token. @throws ApiError */
export function post(path: string, body: unknown, options: PostOptions = {}): Promise<Response> {
  return change('POST', path, body, options);
}

/** Changes something with the session's CSRF token; without a body none is sent. @throws ApiError */
export async function change(
  method: 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
  options: PostOptions = {},
): Promise<Response> {
  const hasBody = body !== undefined;
  const send = (csrf: string | null | undefined): Promise<Response> =>
    fetched(path, {
      ...options,
      method,
      headers: {
        ...(hasBody && { 'content-type': 'application/json' }),
        ...(csrf && { 'x-lfo-csrf': csrf }),
        ...options.headers,
      },
      ...(hasBody && { body: JSON.stringify(body) }),
    });
  const csrf = session.value?.csrfToken;
  const response = await send(csrf);
  if (response.status !== 401 || isLogin(path)) return await answered(path, response);
  // The viewer may have logged in anew beside this page, whose session is another one then.
  await loadSession();
  return await answered(path, session.value?.csrfToken === csrf ? response : await send(session.value?.csrfToken));
}

/** Learns who is looking; needed before anything is posted. */
export async function loadSession(): Promise<void> {
  session.value = await ask<SessionBody>('/dashboard/api/session');
}

/** Sends the viewer to the form and back again afterwards. */
export function goToLogin(): void {
  const { path, query } = place.value;
  const here = query.size === 0 ? path : `${path}?${query}`;
  if (path !== '/login') go(`/login?next=${encodeURIComponent(here)}`, 'replace');
}

async function request(path: string, options: RequestInit): Promise<Response> {
  return await answered(path, await fetched(path, options));
}

async function fetched(path: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...options, credentials: 'same-origin' });
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    throw new ApiError(0, 'LFO cannot be reached. Is it still running?');
  }
}

async function answered(path: string, response: Response): Promise<Response> {
  if (response.ok) return response;
  if (response.status === 401 && !isLogin(path)) goToLogin();
  throw new ApiError(response.status, await messageOf(response));
}

function isLogin(path: string): boolean {
  return path.endsWith('/login');
}

async function messageOf(response: Response): Promise<string> {
  try {
    const { error }: { error: { message: string } } = await response.json();
    return error.message;
  } catch {
    return `LFO answered with status ${response.status}.`;
  }
}
