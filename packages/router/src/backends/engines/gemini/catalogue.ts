import { z } from 'zod';
import type { JsonValue } from '../../../core/json.ts';
import { bareModelName, traitsOf } from './models.ts';

const listing = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      inputTokenLimit: z.number().int().positive().optional().catch(undefined),
      outputTokenLimit: z.number().int().positive().optional().catch(undefined),
      supportedGenerationMethods: z.array(z.string()).optional(),
    }),
  ),
});

/** Tokens of a prompt and of an answer, where it says. */
type Limits = Pick<z.infer<typeof listing>['models'][number], 'inputTokenLimit' | 'outputTokenLimit'>;

/** What the provider says of its models, over what the table of families says. */
export class ModelCatalogue {
  #limits: ReadonlyMap<string, Limits> = new Map();
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
    this.#limits = new Map(chats.map((model) => [bareModelName(model.name), model]));
  }

  contextTokens(model: string): number | undefined {
    return this.#limits.get(bareModelName(model))?.inputTokenLimit ?? traitsOf(model).contextTokens;
  }

  maxOutputTokens(model: string): number | undefined {
    return this.#limits.get(bareModelName(model))?.outputTokenLimit ?? traitsOf(model).maxOutputTokens;
  }
}
