/** Requests at a router's local tier, those that wait for it, and how many it answers at once. */
export interface LocalLoad {
  readonly running: number;
  readonly waiting: number;
  readonly slots: number;
}

/** The header by which one LFO tells another how busy it is. */
export const loadHeader = 'x-lfo-load';

export function loadText({ running, waiting, slots }: LocalLoad): string {
  return `running=${running}, waiting=${waiting}, slots=${slots}`;
}

/** Undefined where it says something else, or nothing. */
export function readLoadText(text: string): LocalLoad | undefined {
  const said = /^running=(\d{1,6}), waiting=(\d{1,6}), slots=(\d{1,6})$/.exec(text);
  if (said === null) return undefined;
  const [running = 0, waiting = 0, slots = 0] = said.slice(1).map(Number);
  return { running, waiting, slots };
}
