/** One line of the doctor's report. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** The command or change that repairs it; of a check that is ok, what would be better. */
  readonly fix?: string;
}

export function passed(name: string, detail: string): Check {
  return { name, ok: true, detail };
}

/** Nothing keeps LFO from answering, but somebody should know. */
export function advised(name: string, detail: string, fix: string): Check {
  return { name, ok: true, detail, fix };
}

export function broken(name: string, detail: string, fix: string): Check {
  return { name, ok: false, detail, fix };
}
