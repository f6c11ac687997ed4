import type { ListedModel, ModelCapability } from '../../core/exchange.ts';

const largestPage = 1000;

/** Models as Anthropic lists them. Its agents show ids alone that begin with `claude`, so each alias has one. */
export function anthropicModels(models: readonly ListedModel[]): readonly ListedModel[] {
  return models
    .filter(({ embeds }) => embeds !== true)
    .flatMap((model) => (model.aliasOf === undefined ? [model] : [model, { ...model, id: `claude-${model.id}` }]));
}

export function anthropicModel(model: ListedModel, createdAt: string): object {
  const { id, contextTokens, maxOutputTokens, capabilities } = model;
  return {
    type: 'model',
    id,
    display_name: id,
    created_at: createdAt,
    ...(contextTokens !== undefined && { max_input_tokens: contextTokens }),
    ...(maxOutputTokens !== undefined && { max_tokens: maxOutputTokens }),
    capabilities: capabilities === undefined ? null : supportOf(capabilities),
  };
}

/** Every name that its clients know; what belongs to the vendor's own servers is not here. */
function supportOf(known: readonly ModelCapability[]): object {
  const has = (name: ModelCapability) => ({ supported: known.includes(name) });
  const none = { supported: false };
  const thinks = has('reasoning');
  return {
    batch: none,
    citations: none,
    code_execution: none,
    context_management: {
      ...none,
      clear_thinking_20251015: null,
      clear_tool_uses_20250919: null,
      compact_20260112: null,
    },
    effort: { ...thinks, low: thinks, medium: thinks, high: thinks, xhigh: thinks, max: thinks },
    image_input: has('vision'),
    pdf_input: none,
    server_tools: { ...none, code_execution: none, web_search: none },
    structured_outputs: has('structured_output'),
    thinking: { ...thinks, types: { adaptive: thinks, between_tools: none, disabled: thinks, enabled: thinks } },
  };
}

/** A page of the list, after or before an id. */
export function anthropicPage(
  models: readonly ListedModel[],
  query: Readonly<Record<string, unknown>>,
  createdAt: string,
): object {
  const limit = Math.min(largestPage, Math.max(1, Number(query['limit']) || 20));
  const after = models.findIndex(({ id }) => id === query['after_id']);
  const before = models.findIndex(({ id }) => id === query['before_id']);
  const from = before >= 0 ? Math.max(0, before - limit) : after + 1;
  const end = before >= 0 ? before : from + limit;
  const page = models.slice(from, end);
  return {
    data: page.map((model) => anthropicModel(model, createdAt)),
    has_more: end < models.length,
    first_id: page[0]?.id ?? null,
    last_id: page.at(-1)?.id ?? null,
  };
}
