import { createHash } from 'node:crypto';
import type { ModelIdentity } from '../../core/confidence.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import { featuresVersion } from '../features/features.ts';
import type { Head, HeadModel, Tree } from './head.ts';
import type { Heads } from './score.ts';

/** Fitted heads and where they come from. */
export interface Calibration {
  readonly id: string;
  /** First 12 hex digits of the SHA-256 of its content: what a threshold or a record refers to. */
  readonly hash: string;
  readonly fittedOn: { readonly traces: string; readonly n: number };
  /** Whom it is for: each field named must be equal; a value that ends in `*` is a beginning. */
  readonly model: Partial<ModelIdentity>;
  readonly heads: Heads;
  /** From own labels; absent: the heads' product is taken as it is. */
  readonly sharpening?: Sharpening;
  /** Out-of-fold scores of the answers it was fitted on; none where the file has none. */
  readonly scores: readonly number[];
  /** Scores to be used as thresholds, by purpose. */
  readonly thresholds: Readonly<Record<string, number>>;
}

/** Scales and moves the logit of a score, so that it is a probability where the heads are used. */
export interface Sharpening {
  /** Above 0: what is likelier stays likelier. */
  readonly scale: number;
  readonly shift: number;
}

/** A calibration for a model, and whether it was fitted for it or only stands in as a prior. */
export interface ChosenCalibration {
  readonly calibration: Calibration;
  readonly isPrior: boolean;
}

/** The first calibration that fits the model; where none does, the last one, as a prior. */
export function chooseCalibration(
  calibrations: readonly Calibration[],
  model: ModelIdentity,
): ChosenCalibration | undefined {
  const own = calibrations.find((one) => fits(one.model, model));
  if (own !== undefined) return { calibration: own, isPrior: false };
  const last = calibrations.at(-1);
  return last === undefined ? undefined : { calibration: last, isPrior: true };
}

/**
 * Reads a calibration file: `{schema: 1, id, fittedOn: {traces, n}, model, features, heads, thresholds}`.
 *
 * @throws TypeError that names the field when the value has another shape, schema or version of the features.
 */
export function readCalibration(value: JsonValue): Calibration {
  const file = objectAt(value, 'the file');
  if (file['schema'] !== 1)
    throw new TypeError(`Calibration: schema must be 1, not ${JSON.stringify(file['schema'])}.`);
  if (file['features'] !== featuresVersion)
    throw new TypeError(
      `Calibration: it was fitted on features ${JSON.stringify(file['features'])}, this version computes ${featuresVersion}; fit it anew.`,
    );
  const fittedOn = objectAt(file['fittedOn'], 'fittedOn');
  const heads = objectAt(file['heads'], 'heads');
  return {
    id: stringAt(file['id'], 'id'),
    hash: createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12),
    fittedOn: { traces: stringAt(fittedOn['traces'], 'fittedOn.traces'), n: numberAt(fittedOn['n'], 'fittedOn.n') },
    model: readModel(objectAt(file['model'], 'model')),
    heads: {
      values: readHead(heads['values'], 'values'),
      noToolFits: readHead(heads['noToolFits'], 'noToolFits'),
      moreCalls: readHead(heads['moreCalls'], 'moreCalls'),
      noCall: readHead(heads['noCall'], 'noCall'),
      text: readHead(heads['text'], 'text'),
      // Files of before it have none.
      request: heads['request'] === undefined ? [] : readHead(heads['request'], 'request'),
    },
    ...(file['sharpening'] !== undefined && { sharpening: readSharpening(objectAt(file['sharpening'], 'sharpening')) }),
    scores: file['scores'] === undefined ? [] : numbersAt(file['scores'], 'scores'),
    thresholds: Object.fromEntries(
      Object.entries(objectAt(file['thresholds'], 'thresholds')).map(([name, at]) => [
        name,
        numberAt(at, `thresholds.${name}`),
      ]),
    ),
  };
}

function readSharpening(value: JsonObject): Sharpening {
  const [scale, shift] = [numberAt(value['scale'], 'sharpening.scale'), numberAt(value['shift'], 'sharpening.shift')];
  if (scale <= 0) throw new TypeError('Calibration: sharpening.scale must be above 0.');
  return { scale, shift };
}

function readModel(value: JsonObject): Partial<ModelIdentity> {
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, stringAt(text, `model.${key}`)]));
}

function readHead(value: JsonValue | undefined, name: string): Head {
  return arrayAt(value, `heads.${name}`).map((model) => readHeadModel(objectAt(model, `heads.${name}`), name));
}

function readHeadModel(value: JsonObject, name: string): HeadModel {
  const at = `heads.${name}`;
  const features = arrayAt(value['features'], `${at}.features`).map((feature) => stringAt(feature, `${at}.features`));
  const linear = objectAt(value['linear'], `${at}.linear`);
  const weights = numbersAt(linear['weights'], `${at}.linear.weights`);
  if (weights.length !== features.length) throw new TypeError(`Calibration: ${at} has not one weight a feature.`);
  return {
    features,
    linear: { bias: numberAt(linear['bias'], `${at}.linear.bias`), weights },
    trees: arrayAt(value['trees'], `${at}.trees`).map((tree) => readTree(objectAt(tree, at), at, features.length)),
    scale: numberAt(value['scale'], `${at}.scale`),
    shift: numberAt(value['shift'], `${at}.shift`),
  };
}

/** Children come after their parents, so that no walk is endless. */
function readTree(value: JsonObject, at: string, features: number): Tree {
  const feature = numbersAt(value['feature'], `${at}.trees.feature`);
  const values = numbersAt(value['value'], `${at}.trees.value`);
  const right = numbersAt(value['right'], `${at}.trees.right`);
  const isTree =
    feature.length > 0 &&
    values.length === feature.length &&
    right.length === feature.length &&
    feature.every((index, node) => {
      if (index === -1) return true;
      const next = right[node] ?? 0;
      return Number.isInteger(index) && index >= 0 && index < features && next > node + 1 && next < feature.length;
    });
  if (!isTree) throw new TypeError(`Calibration: a tree of ${at} is broken.`);
  return { feature, value: values, right };
}

function fits(pattern: Partial<ModelIdentity>, model: ModelIdentity): boolean {
  const fieldFits = (wanted: string | undefined, given: string | undefined): boolean => {
    if (wanted === undefined) return true;
    if (given === undefined) return false;
    return wanted.endsWith('*') ? given.startsWith(wanted.slice(0, -1)) : given === wanted;
  };
  return (
    fieldFits(pattern.engine, model.engine) &&
    fieldFits(pattern.engineVersion, model.engineVersion) &&
    fieldFits(pattern.model, model.model) &&
    fieldFits(pattern.sha256, model.sha256) &&
    fieldFits(pattern.quantisation, model.quantisation) &&
    fieldFits(pattern.template, model.template)
  );
}

function objectAt(value: JsonValue | undefined, name: string): JsonObject {
  if (!isJsonObject(value)) throw new TypeError(`Calibration: ${name} must be an object.`);
  return value;
}

function arrayAt(value: JsonValue | undefined, name: string): readonly JsonValue[] {
  if (!Array.isArray(value)) throw new TypeError(`Calibration: ${name} must be a list.`);
  return value;
}

function numbersAt(value: JsonValue | undefined, name: string): readonly number[] {
  return arrayAt(value, name).map((member) => numberAt(member, name));
}

function numberAt(value: JsonValue | undefined, name: string): number {
  if (typeof value !== 'number') throw new TypeError(`Calibration: ${name} must be a number.`);
  return value;
}

function stringAt(value: JsonValue | undefined, name: string): string {
  if (typeof value !== 'string') throw new TypeError(`Calibration: ${name} must be a text.`);
  return value;
}
