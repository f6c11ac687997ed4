/** Files a download leaves beside the model while it goes on, or for the next run to resume. */
export interface Leftovers {
  /** What the hub gave so far. */
  readonly part: string;
  /** Folder of the pieces pip fetched. */
  readonly parts: string;
  /** The pieces, joined but not yet verified. */
  readonly joined: string;
  readonly lock: string;
}

/** Their paths, for a model's path. */
export function leftovers(path: string): Leftovers {
  return { part: `${path}.part`, parts: `${path}.parts`, joined: `${path}.joined`, lock: `${path}.lock` };
}
