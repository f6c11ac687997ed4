import { LfoError } from '../core/errors.ts';
import type { ListedModel } from '../core/exchange.ts';
import type { KeyIdentity } from '../core/identity.ts';
import { findListed } from '../core/model-directory.ts';
import type { NameRule } from './names.ts';

/** The model a name stands for, and the rule that said so where none has the name. */
export interface FoundModel {
  readonly model: ListedModel;
  readonly nameRule?: NameRule;
}

export type FindModel = (name: string, identity: KeyIdentity) => FoundModel;

/**
 * Makes the look-up of names: exact ids and aliases first, then the operator's name rules, each of which stands for the
 * alias of its mode.
 * @throws LfoError 404 or, where the key may not name the model, 403
 */
export function modelFinder(
  models: () => readonly ListedModel[],
  ruleOf: (name: string) => NameRule | undefined,
): FindModel {
  return (name, identity) => {
    const listed = models();
    // Agents that show ids of one vendor alone are given ours under such a name.
    const wanted = name.replace(/^claude-(?=lfo-)/, '');
    const exact = findListed(listed, wanted);
    // Who may name a model may name its backend too; the list holds no such names.
    const bare = exact !== undefined && listed.includes(exact) ? wanted : wanted.slice(wanted.indexOf('/') + 1);
    if (exact !== undefined) return { model: allowed(exact, identity, bare) };
    const nameRule = ruleOf(name);
    const alias = nameRule && listed.find(({ aliasOf }) => aliasOf === nameRule.mode);
    if (nameRule !== undefined && alias !== undefined) return { model: allowed(alias, identity, alias.id), nameRule };
    throw new LfoError(
      // The name itself is a client's text, which no error repeats.
      'This model does not exist here: GET /v1/models lists those that do. Ask for lfo-auto, or have the name stand for it by a line in lfo.yaml: routing: { model_names: [{ match: <name>, mode: auto }] }',
      { code: 'model_not_found', status: 404, param: 'model' },
    );
  };
}

/** An alias reaches every model there is, so it too must be allowed by name. */
function allowed(model: ListedModel, { models }: KeyIdentity, bareName: string): ListedModel {
  if (models === undefined || models.includes(model.id) || models.includes(bareName)) return model;
  throw new LfoError('This key may not use this model.', { code: 'model_not_allowed', status: 403, param: 'model' });
}
