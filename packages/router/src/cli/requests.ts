import type { Archive, ArchivedRequest, ArchiveFilter } from '../records/archive.ts';
import { sleep, type Clock } from '../core/clock.ts';
import { parseJson } from '../core/json.ts';
import { isReason, reasons } from '../core/reason.ts';
import type { RequestRow } from '../records/tables.ts';
import { csvLine } from '../core/csv.ts';
import { CliError, coloursFor, exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

export interface RequestsSettings {
  readonly filter: ArchiveFilter;
  readonly limit: number;
  readonly format: 'table' | 'json' | 'csv';
}

/** Lists recorded requests, the newest first; a line is written as it is read. */
export async function requests(terminal: Terminal, archive: Archive, settings: RequestsSettings): Promise<number> {
  const { filter, limit, format } = settings;
  const names = await archive.keyNames();
  let isFirst = true;
  for await (const row of rowsOf(archive, filter, names, limit)) {
    if (isFirst && format === 'csv') terminal.output.write(csvLine(Object.keys(row)));
    if (isFirst && format === 'table') printLine(terminal, tableRow(heads));
    isFirst = false;
    if (!terminal.output.write(lineOf(row, format, names))) await drained(terminal);
  }
  if (isFirst && format === 'table') terminal.errors.write('No request is recorded that fits.\n');
  return exitCodes.done;
}

/** The newest first. People know keys by their names, and several may have one. */
async function* rowsOf(
  archive: Archive,
  filter: ArchiveFilter,
  names: KeyNames,
  limit: number,
): AsyncGenerator<RequestRow> {
  const { key } = filter;
  const ids = [...names].flatMap(([id, name]) => (name === key ? [id] : []));
  if (key === undefined || ids.length === 0) {
    yield* archive.requests(filter, limit);
    return;
  }
  const walks = ids.map((id) => archive.requests({ ...filter, key: id }, limit)[Symbol.asyncIterator]());
  const heads = await Promise.all(walks.map((walk) => walk.next()));
  for (let left = limit; left > 0; left -= 1) {
    let newest: { readonly at: number; readonly row: RequestRow } | undefined;
    for (const [at, { done, value: row }] of heads.entries()) {
      if (done !== true && (newest === undefined || row.id > newest.row.id)) newest = { at, row };
    }
    if (newest === undefined) return;
    yield newest.row;
    const { at } = newest;
    heads[at] = (await walks[at]?.next()) ?? { done: true, value: undefined };
  }
}

type KeyNames = ReadonlyMap<string, string>;

/** Shows one request with its decision. */
export async function request(terminal: Terminal, archive: Archive, id: string, json: boolean): Promise<number> {
  const [found, names] = await Promise.all([archive.find(id), archive.keyNames()]);
  if (found === undefined)
    throw new CliError(`No request with the id "${plainText(id)}" is recorded: see lfo requests.`);
  if (json) printLine(terminal, JSON.stringify(rowJson(found.row, names)));
  else for (const line of describe(found, names, terminal)) printLine(terminal, line);
  return exitCodes.done;
}

function describe({ row, attempts }: ArchivedRequest, names: KeyNames, terminal: Terminal): readonly string[] {
  const colours = coloursFor(terminal);
  const field = (name: string, value: string | number | null): readonly string[] =>
    value === null || value === '' ? [] : [`  ${name.padEnd(11)} ${plainText(String(value))}`];
  const tokens = [
    row.prompt_tokens === null ? '' : `${row.prompt_tokens} read`,
    row.completion_tokens === null ? '' : `${row.completion_tokens} written`,
  ].filter((part) => part !== '');
  const whys = [row.reason ?? '', ...reasonsOf(row)].filter((why, at, all) => why !== '' && all.indexOf(why) === at);
  return [
    `${colours.bold(row.id)}  ${localTime(row.time_ms)}`,
    ...field('outcome', `${row.status}${row.error_code === null ? '' : ` ${row.error_code}`}`),
    ...field('answered by', [row.route, row.backend, row.model, row.device].filter(Boolean).join(' · ')),
    ...field('mode', row.mode),
    ...field('key', row.client_key === null ? null : (names.get(row.client_key) ?? row.client_key)),
    ...field('came by', [row.dialect, row.path, row.router].filter(Boolean).join(' · ')),
    ...field('trace', row.trace_id),
    ...field('score', scoreText(row)),
    ...field('tokens', tokens.join(', ')),
    ...field('cost', row.cost_usd === null ? null : `$${row.cost_usd.toFixed(6)}`),
    ...field('time', row.total_ms === null ? null : durationText(row.total_ms)),
    ...field('first token', row.first_token_ms === null ? null : durationText(row.first_token_ms)),
    ...(row.predicted_wait_ms === null
      ? []
      : field(
          'wait',
          `predicted ${durationText(row.predicted_wait_ms)}${row.wait_ms === null ? '' : `, was ${durationText(row.wait_ms)}`}`,
        )),
    ...whys.flatMap((why, at) => field(at === 0 ? 'why' : '', isReason(why) ? `${why}: ${reasons[why]}` : why)),
    ...attempts.flatMap((attempt, at) =>
      field(
        at === 0 ? 'attempts' : '',
        [
          attempt.tier,
          attempt.backend ?? '',
          attempt.outcome ?? '',
          attempt.reason ?? attempt.errorCode ?? '',
          attempt.score === null ? '' : `score ${attempt.score.toFixed(2)}`,
          attempt.endMs === null ? '' : durationText(attempt.endMs - attempt.startMs),
        ]
          .filter((part) => part !== '')
          .join(' · '),
      ),
    ),
  ];
}

function reasonsOf(row: RequestRow): readonly string[] {
  const found = parseJson(row.reasons);
  return Array.isArray(found) ? found.filter((reason) => typeof reason === 'string') : [];
}

function scoreText({ confidence, threshold }: RequestRow): string | null {
  if (confidence === null) return null;
  return `${confidence.toFixed(2)} ${confidence < threshold ? '<' : '≥'} ${threshold.toFixed(2)}`;
}

const lookMs = 1_000;
/** Looked at each time: a request is stored when it ends, which may be long after its arrival. */
const latest = 1_000;

/** Shows requests as they end, until interrupted. */
export async function followRequests(
  terminal: Terminal,
  archive: Archive,
  { filter, format }: Omit<RequestsSettings, 'limit'>,
  clock: Clock,
): Promise<number> {
  const stop = new AbortController();
  // The clock's timers keep no process alive; this command is to stay.
  const staying = setInterval(() => {}, 1 << 30);
  const offs = (['SIGINT', 'SIGTERM'] as const).map((signal) => terminal.onSignal(signal, () => stop.abort()));
  let seen: ReadonlySet<string> | undefined;
  const names = await archive.keyNames();
  if (format === 'csv') terminal.errors.write('Columns as in "lfo requests --format csv".\n');
  try {
    while (!stop.signal.aborted) {
      const rows = await Array.fromAsync(rowsOf(archive, filter, names, latest));
      const known = seen;
      if (known !== undefined) {
        for (const row of rows.toReversed()) if (!known.has(row.id)) terminal.output.write(lineOf(row, format, names));
      }
      seen = new Set(rows.map(({ id }) => id));
      if (known === undefined)
        terminal.errors.write(coloursFor(terminal).dim('Waiting for requests; Ctrl-C ends.') + '\n');
      await sleep(clock, lookMs, stop.signal);
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(staying);
    for (const off of offs) off();
  }
  return exitCodes.done;
}

function lineOf(row: RequestRow, format: RequestsSettings['format'], names: KeyNames): string {
  if (format === 'csv') return csvLine(Object.values({ ...row, client_key: keyName(row, names) }));
  if (format === 'json') return `${JSON.stringify(rowJson(row, names))}\n`;
  return `${tableRow(cellsOf(row))}\n`;
}

function keyName({ client_key: id }: RequestRow, names: KeyNames): string | null {
  return id === null ? null : (names.get(id) ?? id);
}

const heads = ['time', 'st', 'route', 'backend', 'reason', 'score', 'in', 'out', 'took', 'id'];
/** Together 100 columns at most; what is longer is cut. */
const widths = [14, 3, 5, 11, 20, 5, 5, 5, 6, 8];
const isRight = [false, true, false, false, false, true, true, true, true, false];

function tableRow(cells: readonly string[]): string {
  return cells
    .map((cell, column) => {
      const width = widths[column] ?? 0;
      const text = cell.length > width ? `${cell.slice(0, width - 1)}…` : cell;
      return isRight[column] === true ? text.padStart(width) : text.padEnd(width);
    })
    .join('  ')
    .trimEnd();
}

function cellsOf(row: RequestRow): readonly string[] {
  return [
    localTime(row.time_ms),
    String(row.status),
    row.route ?? '–',
    plainText(row.backend ?? '–'),
    row.reason ?? '–',
    row.confidence?.toFixed(2) ?? '–',
    countText(row.prompt_tokens),
    countText(row.completion_tokens),
    row.total_ms === null ? '–' : durationText(row.total_ms),
    row.id.slice(-8),
  ];
}

/** `11-29 14:05:09`, in the zone of whoever looks. */
function localTime(unixMs: number): string {
  const date = new Date(unixMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

function countText(value: number | null): string {
  if (value === null) return '–';
  return value < 100_000 ? String(value) : `${Math.round(value / 1_000)}k`;
}

function durationText(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  return ms < 100_000 ? `${(ms / 1_000).toFixed(1)}s` : `${Math.round(ms / 60_000)}min`;
}

const jsonColumns = ['reasons', 'attempts', 'features', 'signals', 'warnings'] as const;

/** As stored, with what is JSON in the database as values, and the key by its name. */
function rowJson(row: RequestRow, names: KeyNames): object {
  const parsed = jsonColumns.map((column) => [column, row[column] === null ? null : (parseJson(row[column]) ?? null)]);
  const mode = row.mode === '' ? null : row.mode;
  return { ...row, mode, client_key: keyName(row, names), ...Object.fromEntries(parsed) };
}

function drained(terminal: Terminal): Promise<void> {
  return new Promise((resolve) => terminal.output.once('drain', resolve));
}
