import type { ListedModel } from '../../core/exchange.ts';

const largestPage = 1000;

/** One model as Google lists it. */
export function listedModel({ id, contextTokens, maxOutputTokens, embeds }: ListedModel): object {
  return {
    name: `models/${id}`,
    displayName: id,
    ...(contextTokens !== undefined && { inputTokenLimit: contextTokens }),
    ...(maxOutputTokens !== undefined && { outputTokenLimit: maxOutputTokens }),
    supportedGenerationMethods:
      embeds === true ? ['embedContent', 'batchEmbedContents'] : ['generateContent', 'countTokens'],
  };
}

/** A page of models; its token is the place of the next one. */
export function modelPage(models: readonly ListedModel[], query: Readonly<Record<string, unknown>>): object {
  const size = Math.min(largestPage, Math.max(1, Number(query['pageSize']) || 50));
  const from = Math.max(0, Number(query['pageToken']) || 0);
  const next = from + size;
  return {
    models: models.slice(from, next).map(listedModel),
    ...(next < models.length && { nextPageToken: String(next) }),
  };
}
