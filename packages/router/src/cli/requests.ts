import type { Archive, ArchiveFilter } from '../records/archive.ts';
import { sleep, type Clock } from '../core/clock.ts';
import { parseJson } from '../core/json.ts';
import type { RequestRow } from '../records/tables.ts';
import { csvLine, tableLines } from './table-text.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

export interface RequestsSettings {
  readonly filter: ArchiveFilter;
  readonly limit: number;
  readonly format: 'table' | 'json' | 'csv';
}

/** Lists recorded requests, the newest first; a line is written as it is read. */
export async function requests(terminal: Terminal, archive: Archive, settings: RequestsSettings): Promise<number> {
  const { filter, limit, format } = settings;
  if (format === 'table') {
    const rows = await Array.fromAsync(archive.requests(filter, limit));
    if (rows.length === 0) terminal.errors.write('No request is recorded that fits.\n');
    else for (const line of tableLines([heads, ...rows.map(cellsOf)], rightAligned)) printLine(terminal, line);
    return exitCodes.done;
  }
  let isFirst = true;
  for await (const row of archive.requests(filter, limit)) {
    if (format === 'csv' && isFirst) terminal.output.write(csvLine(Object.keys(row)));
    isFirst = false;
    if (!terminal.output.write(lineOf(row, format))) await drained(terminal);
  }
  return exitCodes.done;
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
  if (format === 'csv') terminal.errors.write('Columns as in "lfo requests --format csv".\n');
  try {
    while (!stop.signal.aborted) {
      const rows = await Array.fromAsync(archive.requests(filter, latest));
      const known = seen;
      if (known !== undefined) {
        for (const row of rows.toReversed()) if (!known.has(row.id)) terminal.output.write(lineOf(row, format));
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

function lineOf(row: RequestRow, format: RequestsSettings['format']): string {
  if (format === 'csv') return csvLine(Object.values(row));
  if (format === 'json') return `${JSON.stringify(rowJson(row))}\n`;
  return `${tableLines([cellsOf(row)]).join('')}\n`;
}

const heads = ['time', 'status', 'route', 'backend', 'reason', 'score', 'in', 'out', 'ms', 'id'];
const rightAligned = [false, true, false, false, false, true, true, true, true, false];

function cellsOf(row: RequestRow): readonly string[] {
  return [
    new Date(row.time_ms).toISOString(),
    String(row.status),
    row.route ?? '–',
    row.backend ?? '–',
    row.reason ?? '–',
    row.confidence?.toFixed(2) ?? '–',
    String(row.prompt_tokens ?? '–'),
    String(row.completion_tokens ?? '–'),
    row.total_ms === null ? '–' : String(Math.round(row.total_ms)),
    row.id,
  ];
}

const jsonColumns = ['reasons', 'attempts', 'features', 'signals', 'warnings'] as const;

/** As stored, with what is JSON in the database as values. */
function rowJson(row: RequestRow): object {
  const parsed = jsonColumns.map((column) => [column, row[column] === null ? null : (parseJson(row[column]) ?? null)]);
  return { ...row, ...Object.fromEntries(parsed) };
}

function drained(terminal: Terminal): Promise<void> {
  return new Promise((resolve) => terminal.output.once('drain', resolve));
}
