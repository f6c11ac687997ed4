/** Why a model is not available. */
export type ModelFault =
  /** No such name; not a path either. */
  | 'unknown'
  /** The file named does not exist. */
  | 'missing'
  /** Something else than a GGUF file. */
  | 'not_gguf'
  /** The file ends before its last tensor. */
  | 'truncated'
  /** The bytes are not the published ones. */
  | 'wrong_hash'
  /** Not here, and fetching is forbidden. */
  | 'offline'
  | 'no_space'
  /** One source did not give it. */
  | 'source'
  /** No source gave it. */
  | 'unavailable'
  /** Another process is fetching it. */
  | 'busy'
  /** The user ended it. */
  | 'stopped';

/** A model cannot be had. The message is for the owner, says what to do next and names no host. */
export class ModelError extends Error {
  override readonly name = 'ModelError';
  readonly fault: ModelFault;

  constructor(fault: ModelFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.fault = fault;
  }
}

/** The `code` of a system error (`ENOENT`), if it is one. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
