import { z } from 'zod';
import type { JsonValue } from '../../../core/json.ts';
import { bareModelName, traitsOf } from './models.ts';

const listing = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      inputTokenLimit: z.number().int().positive().optional().catch(undefined),
      supportedGenerationMethods: z.array(z.string()).optional(),
    }),
  ),
});

/** What the provider says of its models, over what the table of families says. */
export class ModelCatalogue {
  #contextTokens: ReadonlyMap<string, number> = new Map();
  #names: readonly string[] = [];

  /** Models that answer chats, once the list was read. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** Takes in an answer of `GET /models`; anything else changes nothing. */
  read(answer: JsonValue | undefined): void {
    const models = listing.safeParse(answer).data?.models;
    if (models === undefined) return;
    const chats = models.filter((model) => model.supportedGenerationMethods?.includes('generateContent') !== false);
    this.#names = chats.map(({ name }) => bareModelName(name));
    this.#contextTokens = new Map(
      chats.flatMap(({ name, inputTokenLimit }) =>
        inputTokenLimit === undefined ? [] : [[bareModelName(name), inputTokenLimit]],
      ),
    );
  }

  contextTokens(model: string): number | undefined {
    return this.#contextTokens.get(bareModelName(model)) ?? traitsOf(model).contextTokens;
  }
}
