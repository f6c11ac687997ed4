import { LfoError } from '../core/errors.ts';

/** One thing wrong with the configuration, and what to do about it. */
export interface ConfigProblem {
  /** Variable (`PORT`) or place in the file (`lfo.yaml:12 routing.max_local_tokens`). */
  readonly where: string;
  /** Never holds the value of a secret. */
  readonly message: string;
}

/** The configuration cannot be used; lists every problem found, in the order of the file. */
export class ConfigError extends LfoError {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ where, message }) => `${where}: ${message}`).join('\n'), {
      code: 'invalid_config',
      status: 500,
    });
    this.problems = problems;
  }
}
