import type { Replay, ReplayOutcome } from '../app/calibrate.ts';
import type { Archive } from '../records/archive.ts';
import { tableLines } from './table-text.ts';
import { CliError, exitCodes, printLine, type Terminal } from './terminal.ts';

/** A goal as it is given: `quality=0.95`. */
export interface ReplayGoal {
  readonly name: 'cloud_share' | 'quality' | 'risk';
  readonly target: number;
}

export interface ReplaySettings {
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly threshold: number | undefined;
  readonly goal: ReplayGoal | undefined;
  readonly json: boolean;
}

/** What another threshold, or a goal, would have done to the answers on record: before it is enforced. */
export async function replayCommand(
  terminal: Terminal,
  archive: Archive,
  { sinceMs, nowMs, threshold: asked, goal, json }: ReplaySettings,
): Promise<number> {
  const { replay, thresholdForGoal } = await import('../app/calibrate.ts');
  const judged = await archive.judged({ sinceMs, limit: 50_000 });
  const threshold = asked ?? (goal === undefined ? undefined : thresholdForGoal(judged, goal, Math.random));
  if (threshold === undefined) {
    const labels = judged.filter(({ label }) => label !== undefined).length;
    throw new CliError(
      `The goal cannot be told, or not be reached, from ${judged.length} judged answers with ${labels} labels.`,
    );
  }
  const found = replay(judged, threshold, await archive.prices(nowMs));
  if (json) printLine(terminal, JSON.stringify(replayJson(found)));
  else for (const line of describe(found)) printLine(terminal, line);
  return exitCodes.done;
}

function replayJson({ answers, now, instead, usd, latencyMs }: Replay): object {
  const body = ({ threshold, kept, escalated, ...rest }: ReplayOutcome): object => ({
    threshold,
    kept,
    escalated,
    kept_right: rest.keptRight,
    kept_labels: rest.keptLabels,
    escalated_right: rest.escalatedRight,
    escalated_labels: rest.escalatedLabels,
  });
  return { answers, now: body(now), instead: body(instead), usd, latency_ms: latencyMs };
}

function describe({ answers, now, instead, usd, latencyMs }: Replay): readonly string[] {
  if (answers === 0) return ['No local answer has been scored in this time.'];
  const row = (name: string, show: (outcome: ReplayOutcome) => string): readonly string[] => [
    `  ${name}`,
    show(now),
    show(instead),
  ];
  return [
    `${answers} scored local answers`,
    ...tableLines(
      [
        ['', 'now', 'instead'],
        row('threshold', ({ threshold }) => threshold.toFixed(2)),
        row('stay local', ({ kept }) => `${kept} (${share(kept / answers)})`),
        row('go to the cloud', ({ escalated }) => `${escalated} (${share(escalated / answers)})`),
        row('right of those kept', ({ keptRight, keptLabels }) => rightOf(keptRight, keptLabels)),
        row('right of those sent on', ({ escalatedRight, escalatedLabels }) =>
          rightOf(escalatedRight, escalatedLabels),
        ),
      ],
      [false, true, true],
    ),
    `  money     ${usd === null ? 'no prices known' : `${usd < 0 ? '-' : '+'}$${Math.abs(usd).toFixed(4)}`}`,
    `  latency   ${latencyMs === null ? 'not measured' : `${latencyMs < 0 ? '' : '+'}${Math.round(latencyMs)} ms an answer`}`,
  ];
}

function rightOf(value: number | null, labels: number): string {
  return value === null ? 'no labels' : `${share(value)} of ${labels}`;
}

function share(value: number): string {
  return `${Math.round(value * 100)} %`;
}
