import { emptyRows, fitHeads, type HeadRows, shippedRecipes } from '../confidence/fitting/fit-heads.ts';
import { hashOf } from '../confidence/fitting/random.ts';
import { fitLogistic } from '../confidence/fitting/ridge.ts';
import { featuresVersion } from '../confidence/features/features.ts';
import type { Calibration, Sharpening } from '../confidence/heads/calibration.ts';
import { logistic, logit } from '../confidence/heads/head.ts';
import type { Heads } from '../confidence/heads/score.ts';
import { judgementId } from '../core/judgement.ts';
import type { JsonObject } from '../core/json.ts';
import type { JudgedAnswerRow } from '../records/queries/judged.ts';
import { recordedAnswer, type RecordedAnswer, scoreRecorded } from './recorded-answer.ts';

/** What the labels of one model are good for. */
export interface CalibrationResult {
  readonly model: string;
  /** As its engine tells; what the new calibration will be used for. */
  readonly identity: JsonObject;
  readonly labels: number;
  /** Of them, right. */
  readonly right: number;
  /** `kept`: too few labels, the calibration stands. `moved`: its probabilities. `refitted`: the heads themselves. */
  readonly outcome: 'kept' | 'moved' | 'refitted';
  /** Mean squared error of the probabilities before, and after out of fold; `null` without labels. */
  readonly brierBefore: number | null;
  readonly brierAfter: number | null;
  /** Absent where the calibration stands. */
  readonly heads?: Heads;
  readonly sharpening?: Sharpening;
  /** The calibration that these were made from. */
  readonly base: Calibration;
}

interface Labelled {
  readonly id: string;
  readonly answer: RecordedAnswer;
  readonly raw: number;
  readonly label: number;
  readonly weight: number;
  readonly because: string | undefined;
}

/**
 * Learns from the labels of each model: under 30 the calibration stands, to 300 its logit is scaled and moved (Platt 1999),
 * own labels weighing n / (n + 50); beyond, the heads are fitted anew too and taken where they are better out of fold.
 */
export function calibrate(judged: readonly JudgedAnswerRow[], base: Calibration): readonly CalibrationResult[] {
  const models = Map.groupBy(judged, ({ identity }) => JSON.stringify(essentialIdentity(identity)));
  return [...models.values()].map((rows) => calibrateModel(rows, base));
}

/** What must stay the same for a calibration to stay good; versions of the engine come and go. */
export function essentialIdentity({ engineVersion: _version, ...identity }: JsonObject): JsonObject {
  return identity;
}

function calibrateModel(judged: readonly JudgedAnswerRow[], base: Calibration): CalibrationResult {
  const rows = judged.flatMap((row) => labelledOf(row, base.heads) ?? []);
  const [first] = judged;
  const about = {
    model: first?.model ?? '',
    identity: essentialIdentity(first?.identity ?? {}),
    labels: rows.length,
    right: rows.filter(({ label }) => label >= 0.5).length,
    base,
  };
  const before = rows.length === 0 ? null : brier(rows, ({ raw }) => raw);
  const isOneSided = about.right === 0 || about.right === rows.length;
  if (rows.length < leastLabels || isOneSided)
    return { ...about, outcome: 'kept', brierBefore: before, brierAfter: before };
  const moved = outOfFold(rows, (known) => {
    const sharpening = platt(known);
    return ({ raw }) => apply(sharpening, raw);
  });
  const refitted = rows.length < leastForHeads ? undefined : outOfFold(rows, (known) => refit(known, base.heads).score);
  if (refitted !== undefined && refitted < moved) {
    const { heads, sharpening } = refit(rows, base.heads);
    return { ...about, outcome: 'refitted', brierBefore: before, brierAfter: refitted, heads, sharpening };
  }
  return {
    ...about,
    outcome: 'moved',
    brierBefore: before,
    brierAfter: moved,
    heads: base.heads,
    sharpening: platt(rows),
  };
}

/** New heads, parts of the old ones where own labels are too few, and what moves their probabilities. */
function refit(
  rows: readonly Labelled[],
  old: Heads,
): { readonly heads: Heads; readonly sharpening: Sharpening; readonly score: (row: Labelled) => number } {
  const own = fitHeads(headRows(rows), shippedRecipes, 1);
  const part = (name: keyof Heads): Heads[keyof Heads] =>
    own[name].length >= old[name].length ? own[name] : old[name];
  const heads = {
    values: part('values'),
    noToolFits: part('noToolFits'),
    moreCalls: part('moreCalls'),
    noCall: part('noCall'),
    text: part('text'),
    request: part('request'),
  };
  const scored = rows.map((row) => ({ ...row, raw: scoreRecorded(heads, row.answer) ?? row.raw }));
  const sharpening = platt(scored);
  return { heads, sharpening, score: ({ answer, raw }) => apply(sharpening, scoreRecorded(heads, answer) ?? raw) };
}

/** The cause of a wrong answer, where it is known, says which head it is a row of. */
function headRows(rows: readonly Labelled[]): HeadRows {
  const all = emptyRows();
  for (const { answer, label, weight, because } of rows) {
    if (answer.kind === 'text') {
      (answer.hasTools ? all.noCall : all.text).push({ features: answer.features, target: label, weight });
      continue;
    }
    const { answer: features, values } = answer.features;
    const isRight = label >= 0.5;
    const doubts = { noToolFits: because === 'no_tool_fits', moreCalls: because === 'more_calls' };
    if (isRight || because !== undefined) {
      if (!doubts.moreCalls) all.noToolFits.push({ features, target: Number(doubts.noToolFits), weight });
      if (!doubts.noToolFits) all.moreCalls.push({ features, target: Number(doubts.moreCalls), weight });
    }
    // Of several calls nobody said which was wrong.
    const saysValues = isRight || (because === 'values' && values.length === 1);
    if (saysValues) for (const call of values) all.values.push({ features: call, target: label, weight });
  }
  return all;
}

function labelledOf(row: JudgedAnswerRow, heads: Heads): Labelled | undefined {
  const { label, featuresVersion: version, requestId, attempt } = row;
  if (label === undefined || version !== featuresVersion) return undefined;
  const answer = recordedAnswer(row.features, row.heads);
  const raw = answer && scoreRecorded(heads, answer);
  if (answer === undefined || raw === undefined) return undefined;
  const weight = label.weight / Math.max(label.propensity, leastPropensity);
  return { id: judgementId(requestId, attempt), answer, raw, label: label.label, weight, because: label.because };
}

/** Scale and shift of the logit; own labels weigh n / (n + 50) beside the calibration as it stands. */
function platt(rows: readonly Labelled[]): Sharpening {
  const { bias, weights } = fitLogistic(
    {
      inputs: rows.map(({ raw }) => [logit(raw)]),
      targets: rows.map(({ label }) => label),
      weights: rows.map(({ weight }) => weight),
    },
    1,
  );
  const own = rows.length / (rows.length + 50);
  // A score that falls while the heads' rises would turn every rule of the gate around.
  const slope = Math.max(0.05, weights[0] ?? 1);
  return { scale: own * slope + (1 - own), shift: own * bias };
}

function apply({ scale, shift }: Sharpening, raw: number): number {
  return logistic(logit(raw) * scale + shift);
}

/** Mean squared error on rows that the fit did not see. */
function outOfFold(rows: readonly Labelled[], fit: (known: readonly Labelled[]) => (row: Labelled) => number): number {
  const scores = new Map<Labelled, number>();
  for (let fold = 0; fold < folds; fold += 1) {
    const isHeld = ({ id }: Labelled): boolean => hashOf(id) % folds === fold;
    const score = fit(rows.filter((row) => !isHeld(row)));
    for (const row of rows) if (isHeld(row)) scores.set(row, score(row));
  }
  return brier(rows, (row) => scores.get(row) ?? row.raw);
}

function brier(rows: readonly Labelled[], score: (row: Labelled) => number): number {
  let sum = 0;
  let total = 0;
  for (const row of rows) {
    sum += row.weight * (score(row) - row.label) ** 2;
    total += row.weight;
  }
  return sum / total;
}

const leastLabels = 30;
const leastForHeads = 300;
const leastPropensity = 0.005;
const folds = 5;
