/** What the fake knows of one model; written apart from the router's own table, so that each checks the other. */
export interface FakeModel {
  readonly name: string;
  readonly generation: 1.5 | 2 | 2.5 | 3;
  /** Tokens of thinking; absent where the model takes no budget. */
  readonly budget?: { readonly min: number; readonly max: number; readonly zero: boolean };
  readonly levels?: readonly string[];
  /** Thinks where the request says nothing of it. */
  readonly thinksUnasked?: boolean;
  readonly penalties: boolean;
  readonly logprobs: boolean;
}

/** The models the fake serves; any other name is a 404. */
export const fakeModels: readonly FakeModel[] = [
  { name: 'gemini-1.5-flash', generation: 1.5, penalties: true, logprobs: true },
  { name: 'gemini-2.0-flash', generation: 2, penalties: true, logprobs: true },
  {
    name: 'gemini-2.5-flash',
    generation: 2.5,
    budget: { min: 0, max: 24_576, zero: true },
    thinksUnasked: true,
    penalties: false,
    logprobs: true,
  },
  {
    name: 'gemini-2.5-flash-lite',
    generation: 2.5,
    budget: { min: 512, max: 24_576, zero: true },
    penalties: false,
    logprobs: true,
  },
  {
    name: 'gemini-2.5-pro',
    generation: 2.5,
    budget: { min: 128, max: 32_768, zero: false },
    thinksUnasked: true,
    penalties: false,
    logprobs: true,
  },
  {
    name: 'gemini-3-pro-preview',
    generation: 3,
    levels: ['LOW', 'HIGH'],
    thinksUnasked: true,
    penalties: false,
    logprobs: false,
  },
  {
    name: 'gemini-3-flash-preview',
    generation: 3,
    levels: ['MINIMAL', 'LOW', 'MEDIUM', 'HIGH'],
    thinksUnasked: true,
    penalties: false,
    logprobs: false,
  },
];
