import type { JsonObject } from '../../core/json.ts';

/**
 * Version of the features' meaning. A calibration fitted on another version is refused: raise it whenever a value changes
 * for the same answer, and fit anew.
 */
export const featuresVersion = 1;

/** Values by name; absent where the engine or the language gives nothing to compute them from. */
export type Features = Readonly<Record<string, number>>;

/** A call as it was written, its arguments read. */
export interface ReadCall {
  readonly name: string;
  readonly arguments: JsonObject;
}
