import type { Placeable } from './placement.ts';

/**
 * Those with the model that a request which names none is answered by: in the operator's order, then the models of
 * configured servers in the order of the file, then the largest first and those of unknown size last. The first whose
 * first token comes within the budget somewhere; else the one where it comes soonest. So a small model does not answer
 * only because its device is quick.
 */
export function byModel(
  placeable: readonly Placeable[],
  order: readonly string[],
  budgetMs: number,
): readonly Placeable[] {
  const [first] = placeable;
  if (first === undefined || placeable.every(({ model }) => model === first.model)) return placeable;
  const models = new Map<string, Placeable[]>();
  for (const one of placeable) {
    const known = models.get(one.model);
    if (known === undefined) models.set(one.model, [one]);
    else known.push(one);
  }
  // Sorting is stable: configured servers stay in their order.
  const ranked = Array.from(models).toSorted(([one, a], [other, b]) => {
    const byOrder = rankIn(order, one) - rankIn(order, other);
    if (byOrder !== 0 && !Number.isNaN(byOrder)) return byOrder;
    return weightOf(other, b) - weightOf(one, a);
  });
  const waits = ranked.map(([, members]) => Math.min(...members.map(waitOf)));
  const soon = waits.findIndex((wait) => wait <= budgetMs);
  const chosen = soon === -1 ? waits.indexOf(Math.min(...waits)) : soon;
  return ranked[chosen]?.[1] ?? placeable;
}

/** How long a full member of unknown speed takes nobody knows. */
function waitOf({ isFull, isMeasured, firstTokenMs }: Placeable): number {
  return isFull && !isMeasured ? Number.MAX_VALUE : firstTokenMs;
}

function rankIn(order: readonly string[], model: string): number {
  const at = order.indexOf(model);
  return at === -1 ? order.length : at;
}

/** Of a configured server: before every device. */
function weightOf(model: string, members: readonly Placeable[]): number {
  if (members.some(({ member }) => member.backend.weightsOf === undefined)) return Number.MAX_VALUE;
  return Math.max(0, ...members.map(({ member }) => member.backend.weightsOf?.(model) ?? 0));
}
