import type { Archive, Durations, GroupedSummary, RecordGap, Summary, SummaryGroup } from '../records/archive.ts';
import { tableLines } from './table-text.ts';
import { coloursFor, exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

export type StatsDimension = 'key' | 'model' | 'backend' | 'device';

export interface StatsSettings {
  readonly sinceMs: number;
  readonly by?: StatsDimension;
  readonly json: boolean;
}

/** Names of keys by their ids. */
export type KeyNames = ReadonlyMap<string, string>;

/** Shows what happened since a moment: requests, who answered, tokens, money and waiting. */
export async function stats(
  terminal: Terminal,
  archive: Archive,
  keyNames: KeyNames,
  { sinceMs, by, json }: StatsSettings,
): Promise<number> {
  const found = await archive.summary(sinceMs, by === 'key' ? 'client_key' : by);
  const groups = by === undefined ? [] : named(found.groups, by === 'key' ? keyNames : new Map());
  const since = new Date(sinceMs).toISOString();
  if (json) {
    const body = { since, ...summaryJson(found), lost: found.gaps.map(gapJson) };
    const grouped = groups.map(({ key, ...group }) => ({ key, ...summaryJson(group) }));
    printLine(terminal, JSON.stringify(by === undefined ? body : { ...body, groups: grouped }));
  } else for (const line of describe(found, groups, since, by, terminal)) printLine(terminal, line);
  return exitCodes.done;
}

function named(groups: readonly SummaryGroup[], names: KeyNames): readonly SummaryGroup[] {
  return groups.map((group) => ({ ...group, key: group.key === null ? null : (names.get(group.key) ?? group.key) }));
}

function describe(
  found: GroupedSummary,
  groups: readonly SummaryGroup[],
  since: string,
  by: StatsDimension | undefined,
  terminal: Terminal,
): readonly string[] {
  const colours = coloursFor(terminal);
  const gaps = found.gaps.map(gapText);
  if (found.requests === 0) return [`No requests since ${since}.`, ...gaps];
  const share = found.localShare === null ? 'none answered' : `${Math.round(found.localShare * 100)} %`;
  const rows = [
    [
      'requests',
      count(found.requests),
      `${count(found.answered)} answered, ${count(found.failed)} failed, ${count(found.refused)} refused, ${count(found.left)} left by their client`,
    ],
    [
      'local share',
      share,
      `${count(found.local)} local (${count(found.degraded)} degraded), ${count(found.cloud)} cloud (${count(found.escalated)} escalated)`,
    ],
    [
      'tokens',
      count(found.promptTokens + found.completionTokens),
      `${count(found.promptTokens)} read, ${count(found.completionTokens)} written`,
    ],
    ['spent', usd(found.costUsd), 'at list prices, where known'],
    ['saved', usd(found.savedUsd), 'against the first cloud model at list price'],
    ...(['local', 'cloud', 'escalated'] as const).flatMap((series) => [
      [`${series} latency`, ...durations(found.latencyMs[series])],
      [`${series} first token`, ...durations(found.firstTokenMs[series])],
    ]),
    ...(found.escalated === 0
      ? []
      : [['lost to escalation', ms(found.escalatedLocalMs), 'in local attempts that the cloud then answered']]),
    ...(found.waitMs === null
      ? []
      : [
          [
            'predicted wait',
            ms(found.predictedWaitMs),
            `for the first local token; it was ${ms(found.waitMs)} (means)`,
          ],
        ]),
  ];
  return [
    colours.bold(`Since ${since}`),
    ...tableLines(
      rows.map((row) => [`  ${row[0] ?? ''}`, ...row.slice(1)]),
      [false, true],
    ),
    ...(by === undefined ? [] : ['', ...groupLines(groups, by)]),
    ...gaps,
  ];
}

function groupLines(groups: readonly SummaryGroup[], by: StatsDimension): readonly string[] {
  const heads = [`by ${by}`, 'requests', 'local', 'failed', 'refused', 'tokens', 'spent', 'saved', 'p50', 'p95'];
  const rows = groups.map((group) => {
    const { p50, p95 } = group.latencyMs.all;
    return [
      plainText(group.key ?? '–'),
      count(group.requests),
      count(group.local),
      count(group.failed),
      count(group.refused),
      count(group.promptTokens + group.completionTokens),
      usd(group.costUsd),
      usd(group.savedUsd),
      ms(p50),
      ms(p95),
    ];
  });
  return tableLines([heads, ...rows], [false, true, true, true, true, true, true, true, true, true]);
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

function gapJson({ requests, fromMs, untilMs }: RecordGap) {
  return { requests, from: isoTime(fromMs), until: isoTime(untilMs) };
}

/** What scripts rely on; documented in `docs/operations/records.md`. */
function summaryJson(found: Summary) {
  return {
    requests: found.requests,
    answered: found.answered,
    local: found.local,
    cloud: found.cloud,
    failed: found.failed,
    refused: found.refused,
    left: found.left,
    escalated: found.escalated,
    degraded: found.degraded,
    local_share: found.localShare,
    prompt_tokens: found.promptTokens,
    completion_tokens: found.completionTokens,
    cost_usd: found.costUsd,
    saved_usd: found.savedUsd,
    escalated_local_ms: found.escalatedLocalMs,
    predicted_wait_ms: found.predictedWaitMs,
    wait_ms: found.waitMs,
    latency_ms: found.latencyMs,
    first_token_ms: found.firstTokenMs,
  };
}
