import type { Archive, Durations, Summary } from '../records/archive.ts';
import type { RecordGap } from '../records/history.ts';
import { tableLines } from './table-text.ts';
import { coloursFor, exitCodes, printLine, type Terminal } from './terminal.ts';

export interface StatsSettings {
  readonly sinceMs: number;
  readonly json: boolean;
}

/** Shows what happened since a moment: requests, who answered, tokens, money and waiting. */
export async function stats(terminal: Terminal, archive: Archive, { sinceMs, json }: StatsSettings): Promise<number> {
  const found = await archive.summary(sinceMs);
  const since = isoTime(sinceMs);
  if (json) printLine(terminal, JSON.stringify(summaryJson(found, since)));
  else for (const line of describe(found, since, terminal)) printLine(terminal, line);
  return exitCodes.done;
}

function describe(found: Summary, since: string, terminal: Terminal): readonly string[] {
  const colours = coloursFor(terminal);
  const gaps = found.gaps.map(gapText);
  if (found.requests === 0) return [`No requests since ${since}.`, ...gaps];
  const share = found.localShare === null ? 'none answered' : `${Math.round(found.localShare * 100)} %`;
  const rows = [
    ['requests', count(found.requests), `${count(found.failed)} failed, ${count(found.degraded)} degraded`],
    [
      'local share',
      share,
      `${count(found.local)} local, ${count(found.cloud)} cloud, ${count(found.escalated)} of them escalated`,
    ],
    [
      'tokens',
      count(found.promptTokens + found.completionTokens),
      `${count(found.promptTokens)} read, ${count(found.completionTokens)} written`,
    ],
    ['money spent', usd(found.costUsd), 'at list prices, where known'],
    ['money kept', usd(found.costAvoidedUsd), 'what the first cloud model would have asked for the local answers'],
    ...(['local', 'cloud'] as const).flatMap((tier) => [
      [`${tier} latency`, ...durations(found.latencyMs[tier])],
      [`${tier} first token`, ...durations(found.firstTokenMs[tier])],
    ]),
  ];
  return [
    colours.bold(`Since ${since}`),
    ...tableLines(
      rows.map((row) => [`  ${row[0] ?? ''}`, ...row.slice(1)]),
      [false, true],
    ),
    ...gaps,
  ];
}

function gapText({ requests, fromMs, untilMs }: RecordGap): string {
  const rows = requests === 1 ? '1 row was' : `${count(requests)} rows were`;
  return `${rows} lost between ${isoTime(fromMs)} and ${isoTime(untilMs)}: the database refused them.`;
}

function isoTime(unixMs: number): string {
  return new Date(unixMs).toISOString();
}

function durations({ p50, p95, p99 }: Durations): readonly [string, string] {
  return p50 === null ? ['–', ''] : [ms(p50), `median; 95 % within ${ms(p95)}, 99 % within ${ms(p99)}`];
}

function ms(value: number | null): string {
  if (value === null) return '–';
  return value < 1_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(1)} s`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}

function usd(value: number): string {
  return `$${value.toFixed(value !== 0 && value < 1 ? 4 : 2)}`;
}

function summaryJson(found: Summary, since: string) {
  return {
    since,
    requests: found.requests,
    local: found.local,
    cloud: found.cloud,
    failed: found.failed,
    escalated: found.escalated,
    degraded: found.degraded,
    local_share: found.localShare,
    prompt_tokens: found.promptTokens,
    completion_tokens: found.completionTokens,
    cost_usd: found.costUsd,
    cost_avoided_usd: found.costAvoidedUsd,
    latency_ms: found.latencyMs,
    first_token_ms: found.firstTokenMs,
    lost: found.gaps.map(({ requests, fromMs, untilMs }) => ({
      requests,
      from: isoTime(fromMs),
      until: isoTime(untilMs),
    })),
  };
}
