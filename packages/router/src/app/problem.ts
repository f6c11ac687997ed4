import type { BackendView, FleetView } from '../core/backend.ts';
import type { Problem } from './running-app.ts';

/** Why no request can be answered now, and what mends it; `undefined` while one can be, or is about to be. */
export function problemOf({ backends }: FleetView): Problem | undefined {
  if (backends.length === 0) return nothingConfigured;
  const isAble = ({ status, isDraining }: BackendView): boolean => status.state !== 'down' && isDraining !== true;
  if (backends.some(isAble)) return undefined;
  // The one that was meant to answer first.
  const [first] = backends.toSorted((a, b) => rankOf(a) - rankOf(b));
  return first === undefined ? nothingConfigured : problemOfBackend(first);
}

const nothingConfigured: Problem = {
  what: 'No model is configured.',
  fix: 'Set GEMINI_API_KEY for the cloud, unset LFO_LOCAL_MODEL for the embedded model, or name a server in lfo.yaml.',
};

function rankOf({ id, tier, isDraining }: BackendView): number {
  if (isDraining === true) return 3;
  return id === 'embedded' ? 0 : tier === 'local' ? 1 : 2;
}

function problemOfBackend({ id, status, isDraining, device }: BackendView): Problem {
  if (isDraining === true) return { what: `${id} is drained.`, fix: 'Resume it in the dashboard under Fleet.' };
  const said = sentencesOf(status.detail ?? 'It is down.');
  const [what = '', ...rest] = said;
  // The model's own process tells what to do; it wrote the sentences for its owner.
  if (id === 'embedded') return { what, fix: rest.length > 0 ? rest.join(' ') : 'Run "lfo doctor".' };
  const fix =
    device === undefined
      ? `Start the server of ${id}, or correct its base_url in lfo.yaml.`
      : `Switch ${device.name} on, or start LFO there.`;
  return { what: `${id}: ${what}`, fix };
}

/** An ending of a file's name is no end of a sentence. */
function sentencesOf(text: string): readonly string[] {
  return text.split(/(?<=[.!?]["”]?)\s+(?=["“A-Z])/).filter((sentence) => sentence !== '');
}
