import type { ModelIdentity } from '../../core/confidence.ts';
import type { ChatRequest } from '../../core/request.ts';
import { requestFeatures } from '../features/request-features.ts';
import { viewRequest } from '../features/request-view.ts';
import { chooseCalibration } from './calibration.ts';
import { probabilityOf } from './head.ts';
import type { HeadsOptions } from './heads-estimator.ts';

/**
 * Probability 0..1 that a model will answer right, by the request alone. Undefined where nothing tells: without tools,
 * and where question and declarations cannot be compared.
 */
export function expectedRight(
  { calibrations, weights }: HeadsOptions,
  request: ChatRequest,
  model: ModelIdentity,
): number | undefined {
  const chosen = chooseCalibration(calibrations, model);
  if (chosen === undefined || request.tools.length === 0) return undefined;
  return probabilityOf(chosen.calibration.heads.request, requestFeatures(viewRequest(request, weights)));
}
