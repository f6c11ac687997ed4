import type { Writable } from 'node:stream';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../core/json.ts';
import { type Colours, plainText } from './terminal.ts';

/** Takes the log's JSON lines and writes each as one line that a person reads. */
export function terminalLog(output: Writable, colours: Colours): { write(line: string): void } {
  return {
    write(line) {
      const record = parseJson(line);
      output.write(isJsonObject(record) ? `${humanLine(record, colours)}\n` : line);
    },
  };
}

function humanLine(record: JsonObject, colours: Colours): string {
  const { time, level, msg, ...fields } = record;
  const clock = colours.dim(localTime(time));
  if (msg === 'request answered') return `${clock}  ${requestText(fields, colours)}`;
  const details = Object.entries(fields).map(([name, value]) => `${name}=${short(value)}`);
  const said = typeof msg === 'string' ? msg : '';
  const text = plainText([said, ...(details.length === 0 ? [] : [colours.dim(details.join(' '))])].join('  '));
  return `${clock}  ${level === 'info' ? text : `${toneOf(level, colours)}  ${text}`}`;
}

/** `200  local  embedded  812 ms  local_first  3f9a1c20` */
function requestText({ requestId, status, code, route, reason, backend, ms }: JsonObject, colours: Colours): string {
  const isFailed = typeof status === 'number' && status >= 400;
  const where = typeof route === 'string' ? route : '–';
  const why = [reason, code].filter((word) => typeof word === 'string').join(', ');
  return [
    (isFailed ? colours.red : colours.green)(short(status)),
    (route === 'cloud' ? colours.magenta : colours.cyan)(where.padEnd(5)),
    plainText(typeof backend === 'string' ? backend : '–').padEnd(12),
    durationText(ms).padStart(8),
    why.padEnd(20),
    colours.dim(typeof requestId === 'string' ? requestId.slice(-8) : ''),
  ].join('  ');
}

function toneOf(level: JsonValue | undefined, colours: Colours): string {
  if (level === 'warn') return colours.yellow('warning');
  return level === 'error' || level === 'fatal' ? colours.red(level) : colours.dim(short(level));
}

function durationText(ms: JsonValue | undefined): string {
  if (typeof ms !== 'number') return '–';
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** In the zone of whoever looks. */
function localTime(time: JsonValue | undefined): string {
  const date = new Date(typeof time === 'string' ? time : Number.NaN);
  return Number.isNaN(date.getTime()) ? '--:--:--' : date.toTimeString().slice(0, 8);
}

function short(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
