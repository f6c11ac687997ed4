import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';
import type { HubFile } from './catalogue.ts';
import { GrowingFile } from './growing-file.ts';
import { requireSpace, type Machine } from './machine.ts';
import { ModelError } from './model-error.ts';
import { pause } from '../clock.ts';

/** The model hub, unless `LFO_MODEL_BASE_URL` names a mirror. */
export const defaultBaseUrl = 'https://huggingface.co';

export interface HubDownload {
  readonly url: URL;
  /** Grows while it is fetched and stays when cut, to be resumed. */
  readonly part: string;
  /** Exact size, where known. */
  readonly bytes?: number;
  readonly onBytes: (done: number, total: number) => void;
}

/** Hashes in hex. */
export interface HubResult {
  readonly sha256: string;
  /** What the hub says it should be, if it says so. */
  readonly promised?: string;
}

interface HubAnswer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: Dispatcher.ResponseData['body'];
  readonly promised: string | undefined;
}

const maxRedirects = 5;
const maxCuts = 5;
/** After the first cut; grows with each one that brought nothing. */
const cutPauseMs = 500;

/** Where a file lies: `<base>/<owner>/<name>/resolve/main/<file>`. */
export function hubUrl(baseUrl: string, { repository, file }: HubFile): URL {
  const base = baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`;
  const path = `${repository}/resolve/main/${file}`.split('/').map(encodeURIComponent).join('/');
  return new URL(path, base);
}

/**
 * Fetches a file into `part`, resuming what is there, again after every cut as long as bytes keep coming.
 * @throws ModelError `source` when the hub cannot be reached or does not give it, `no_space`
 */
export async function fetchFromHub(download: HubDownload, machine: Machine, signal: AbortSignal): Promise<HubResult> {
  const dispatcher = dispatcherFor(download.url);
  const file = await GrowingFile.open(download.part, signal);
  try {
    const promised = await fetchWhole(download, file, dispatcher, machine, signal);
    return { sha256: await file.finish(), ...(promised === undefined ? {} : { promised }) };
  } finally {
    await file.close();
    if (file.size === 0) await rm(download.part, { force: true });
    await dispatcher.destroy();
  }
}

/** Asks again from where it was cut, as long as some bytes come in between. Gives the hash the hub promised. */
async function fetchWhole(
  download: HubDownload,
  file: GrowingFile,
  dispatcher: Dispatcher,
  machine: Machine,
  signal: AbortSignal,
): Promise<string | undefined> {
  const startSize = file.size;
  let cuts = 0;
  let isAnew = false;
  for (;;) {
    const before = file.size;
    try {
      return await fetchOnce(download, file, dispatcher, machine, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ModelError) throw error;
      if (error instanceof RangeRefused) {
        if (before === 0) throw sourceError(`The model hub answered ${error.status}.`, error);
        if (isAnew) throw sourceError('The download from the model hub was cut, and cannot be resumed.', error);
        isAnew = true;
        continue;
      }
      if (file.size === startSize) throw sourceError('The model hub cannot be reached.', error);
      cuts = file.size > before ? 1 : cuts + 1;
      if (cuts > maxCuts) throw sourceError('The download from the model hub was cut again and again.', error);
      await pause(machine.clock, cutPauseMs * cuts, signal);
    }
  }
}

/** A mirror on this machine is reached directly, all else as the environment's proxy variables say. */
function dispatcherFor(url: URL): Dispatcher {
  const isLoopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  return isLoopback ? new Agent({ allowH2: false }) : new EnvHttpProxyAgent({ allowH2: false });
}

async function fetchOnce(
  download: HubDownload,
  file: GrowingFile,
  dispatcher: Dispatcher,
  machine: Machine,
  signal: AbortSignal,
): Promise<string | undefined> {
  using deadline = new Deadline(machine, signal);
  const answer = await ask(download.url, file.size, dispatcher, deadline, machine);
  // Destroying a body that nobody has read yet emits an error; what went wrong is thrown here already.
  answer.body.on('error', () => {});
  try {
    const total = await prepare(download, answer, file, machine);
    for await (const chunk of answer.body) {
      deadline.set(machine.stallMs);
      if (!(chunk instanceof Uint8Array)) continue;
      if (file.size === 0 && !startsLikeGguf(chunk)) {
        throw sourceError('The model hub answered with something that is no model (a log-in page of the network?).');
      }
      await file.append(chunk);
      download.onBytes(file.size, total);
    }
    if (total !== 0 && file.size < total) throw new Error('The answer ended early.');
    return answer.promised;
  } finally {
    answer.body.destroy();
  }
}

/** Decides from status and headers whether to append, start over or give up; gives the total size, 0 if unknown. */
async function prepare(download: HubDownload, answer: HubAnswer, file: GrowingFile, machine: Machine): Promise<number> {
  const { status, headers } = answer;
  const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(String(headers['content-range'] ?? ''));
  if (status === 416 && Number(range?.[2]) === file.size) return endOf(answer, file);
  if (status === 416 || (status === 206 && Number(range?.[1]) !== file.size)) {
    await file.restart();
    throw new RangeRefused(status);
  }
  if (status === 200 && file.size > 0) await file.restart();
  if (status !== 200 && status !== 206) throw refusal(status);
  const total = file.size + Number(headers['content-length'] ?? 0);
  if (download.bytes !== undefined && total > file.size && total !== download.bytes) {
    throw sourceError('The model hub has a file of another size under this name.');
  }
  await requireSpace(dirname(download.part), total - file.size, machine);
  return total > file.size ? total : (download.bytes ?? 0);
}

/** Everything was there already. */
async function endOf(answer: HubAnswer, file: GrowingFile): Promise<number> {
  await answer.body.dump();
  return file.size;
}

/** Sends the request and follows redirects. */
async function ask(
  start: URL,
  from: number,
  dispatcher: Dispatcher,
  deadline: Deadline,
  machine: Machine,
): Promise<HubAnswer> {
  let url = start;
  let promised: string | undefined;
  deadline.set(machine.hubAnswerMs);
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const { statusCode: status, headers, body } = await send(url, from, dispatcher, deadline.signal);
    deadline.set(machine.stallMs);
    const hash = /^"?([0-9a-f]{64})"?$/.exec(String(headers['x-linked-etag'] ?? ''))?.[1];
    promised ??= hash;
    const location = headers['location'];
    if (status < 300 || status > 399 || typeof location !== 'string') return { status, headers, body, promised };
    await body.dump();
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    if (next === undefined || !isSafeRedirect(url, next)) {
      throw sourceError('The model hub redirects to an address that is not safe to follow.');
    }
    url = next;
  }
  throw sourceError('The model hub redirects too often.');
}

/** Within https, or from http (a mirror's choice) to either. */
export function isSafeRedirect(from: URL, to: URL): boolean {
  return to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:');
}

async function send(
  url: URL,
  from: number,
  dispatcher: Dispatcher,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const range = from > 0 ? { range: `bytes=${from}-` } : {};
  return await dispatcher.request({
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: 'GET',
    headers: { 'user-agent': 'lfo', 'accept-encoding': 'identity', ...range },
    signal,
    // The deadline is ours: undici's own timers are coarse and start late.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

/** What lies there is no beginning of what the hub has; it was thrown away. */
class RangeRefused extends Error {
  readonly status: number;

  constructor(status: number) {
    super();
    this.status = status;
  }
}

function refusal(status: number): ModelError {
  if (status === 404) return sourceError('The model hub has no such file.');
  if (status === 401 || status === 403) {
    return sourceError('The model hub gives this file only to those who accepted its terms.');
  }
  return sourceError(`The model hub answered ${status}.`);
}

function sourceError(message: string, cause?: unknown): ModelError {
  return new ModelError('source', message, cause === undefined ? undefined : { cause });
}

function startsLikeGguf(chunk: Uint8Array): boolean {
  return Buffer.from(chunk.subarray(0, 4)).toString('latin1') === 'GGUF'.slice(0, chunk.length);
}

/** An abort signal that also fires when time is up; setting it again starts the time anew. */
class Deadline implements Disposable {
  readonly signal: AbortSignal;
  readonly #late = new AbortController();
  readonly #machine: Machine;
  #cancel: () => void = () => {};

  constructor(machine: Machine, signal: AbortSignal) {
    this.#machine = machine;
    this.signal = AbortSignal.any([signal, this.#late.signal]);
  }

  set(ms: number): void {
    this.#cancel();
    this.#cancel = this.#machine.clock.schedule(ms, () => this.#late.abort(new Error('No answer in time.')));
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}
