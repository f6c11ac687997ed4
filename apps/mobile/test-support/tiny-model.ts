/** A model that counts, and calls the tool that its reader speaks of: what the fake native engines compute with. */
export interface TinyPrompt {
  readonly user: string;
  readonly tools: readonly string[];
  readonly mustCall: boolean;
}

const numbers = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten'];

/** Words with what precedes them. */
export function tokensOf(text: string): string[] {
  return text.match(/\s*\S+/g) ?? [];
}

/** What it says, token by token; a story has no end. */
export function* speak({ user, tools, mustCall }: TinyPrompt, call: (name: string) => string): Generator<string> {
  const tool = tools.find((name) => user.includes(name)) ?? (mustCall ? tools[0] : undefined);
  if (tool !== undefined) {
    yield* call(tool).match(/.{1,7}/gs) ?? [];
    return;
  }
  if (user.includes('story')) for (let word = 0; ; word += 1) yield ` word${word}`;
  for (const [at, word] of numbers.entries()) yield at === 0 ? word : ` ${word}`;
}

/** A pause in real time: an engine computes beside the program, not in it. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
