import type { GoalRow } from '../confidence/goals.ts';
import type { JudgedAnswerRow } from '../records/queries/judged.ts';

/**
 * Labelled answers as goals weigh them: each stands for as many as its chance of a label left out. Scores of another
 * calibration mean something else and are left out where the one in force is named.
 */
export function goalRows(judged: readonly JudgedAnswerRow[], calibrations?: ReadonlySet<string>): readonly GoalRow[] {
  return judged.flatMap(({ score, label, calibration }) => {
    if (score === null || label === undefined || label.propensity <= 0) return [];
    if (calibration !== null && calibrations?.has(calibration) === false) return [];
    const { label: localRight, weight, propensity } = label;
    // Where truth is not known the cloud's answer is what right means.
    return [{ score, localRight, cloudRight: 1, weight: weight / Math.max(propensity, leastPropensity) }];
  });
}

/** A rarer answer would stand for more than can be believed of one. */
const leastPropensity = 0.005;
