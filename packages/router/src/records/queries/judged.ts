import { judgementId, type LabelSource, labelSources, type WrongBecause } from '../../core/judgement.ts';
import { isJsonObject, type JsonObject, parseJson } from '../../core/json.ts';
import type { JudgementRow, LabelRow, Store } from '../tables.ts';
import { firstIdAt } from '../../core/id-time.ts';

/** One judged local answer with the best label it has. */
export interface JudgedAnswerRow {
  readonly requestId: string;
  readonly attempt: number;
  readonly timeMs: number;
  readonly clientKey: string | null;
  readonly policy: JudgementRow['policy'];
  readonly model: string;
  readonly identity: JsonObject;
  readonly calibration: string | null;
  readonly isPrior: boolean;
  readonly featuresVersion: number | null;
  readonly features: JsonObject;
  readonly heads: JsonObject;
  readonly score: number | null;
  readonly threshold: number;
  readonly verdict: JudgementRow['verdict'];
  readonly reason: string;
  readonly localMs: number | null;
  readonly label: BestLabel | undefined;
}

/** The word that counts among those on one answer: the most trustworthy source's latest. */
export interface BestLabel {
  readonly source: LabelSource;
  readonly label: number;
  readonly weight: number;
  readonly propensity: number;
  readonly because: WrongBecause | undefined;
}

export interface JudgedFilter {
  readonly sinceMs: number;
  /** The newest so many. */
  readonly limit: number;
}

/** Read in one turn of the event loop: some milliseconds. */
const rowsAtOnce = 500;

/** Judged answers, the newest first, in steps that hold nobody up. */
export async function readJudged({ db }: Store, { sinceMs, limit }: JudgedFilter): Promise<readonly JudgedAnswerRow[]> {
  const found: JudgedAnswerRow[] = [];
  for (let before: string | undefined; ;) {
    // Ids begin with their time, and are walked.
    let walk = db.selectFrom('judgements').selectAll().where('id', '>=', firstIdAt(sinceMs)).orderBy('id', 'desc');
    if (before !== undefined) walk = walk.where('id', '<', before);
    const rows = await walk.limit(Math.min(rowsAtOnce, limit - found.length)).execute();
    if (rows.length === 0) return found;
    const ids = [...new Set(rows.map(({ request_id: id }) => id))];
    const labels = await db.selectFrom('labels').selectAll().where('request_id', 'in', ids).execute();
    const byAnswer = Map.groupBy(labels, ({ request_id: id, attempt }) => judgementId(id, attempt));
    found.push(...rows.map((row) => judgedOf(row, byAnswer.get(row.id) ?? [])));
    before = rows.at(-1)?.id;
    if (found.length >= limit || rows.length < rowsAtOnce) return found;
  }
}

function judgedOf(row: JudgementRow, labels: readonly LabelRow[]): JudgedAnswerRow {
  return {
    requestId: row.request_id,
    attempt: row.attempt,
    timeMs: row.time_ms,
    clientKey: row.client_key,
    policy: row.policy,
    model: row.model,
    identity: objectOf(row.identity),
    calibration: row.calibration,
    isPrior: row.is_prior === 1,
    featuresVersion: row.features_version,
    features: objectOf(row.features),
    heads: objectOf(row.heads),
    score: row.score,
    threshold: row.threshold,
    verdict: row.verdict,
    reason: row.reason,
    localMs: row.local_ms,
    label: bestLabel(labels),
  };
}

/** A person before a machine, what failed before what only seemed to work, the latest of equals. */
export function bestLabel(labels: readonly LabelRow[]): BestLabel | undefined {
  const ranked = labels
    .flatMap((row) => {
      const source = labelSources.find((name) => name === row.source);
      return source === undefined ? [] : [{ source, row }];
    })
    .toSorted((a, b) => rankOf(a) - rankOf(b) || b.row.time_ms - a.row.time_ms);
  const [best] = ranked;
  if (best === undefined) return undefined;
  const { label, weight, propensity, because } = best.row;
  return { source: best.source, label, weight, propensity, because: becauseOf(because) };
}

function rankOf({ source, row }: { readonly source: LabelSource; readonly row: LabelRow }): number {
  const isWeakYes = source === 'tool_result' && row.label === 1;
  return isWeakYes ? labelSources.indexOf('agreement') + 0.5 : labelSources.indexOf(source);
}

function becauseOf(word: string | null): WrongBecause | undefined {
  return word === 'no_tool_fits' || word === 'more_calls' || word === 'values' ? word : undefined;
}

function objectOf(text: string): JsonObject {
  const value = parseJson(text);
  return isJsonObject(value) ? value : {};
}
