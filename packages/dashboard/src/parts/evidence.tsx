import { count, duration, percent, plural, scoreExact } from '../format.ts';
import { Fact } from './fact.tsx';

/** How a recorded value reads: its name, and its number with a unit. */
interface Reading {
  readonly name: string;
  /** `among` holds the values beside it. */
  readonly show?: (value: unknown, among: object) => string;
}

const tokens = ofNumber((value) => plural(value, 'token'));
const time = ofNumber(duration);
const share = ofNumber(percent);

const features: Readonly<Record<string, Reading>> = {
  messages: { name: 'Messages' },
  tools: { name: 'Tools offered' },
  uses_tools: { name: 'Needs a model with tools' },
  response_format: { name: 'Response format', show: (value) => words(String(value)) },
  images: { name: 'Holds images' },
  remote_images: { name: 'Images to be fetched' },
  audio: { name: 'Holds audio' },
  warm_tokens: { name: 'Prompt read before', show: tokens },
  max_local_tokens: { name: 'Longest local prompt', show: tokens },
  first_token_budget_ms: { name: 'First token due within', show: time },
  predicted_first_token_ms: { name: 'First token predicted after', show: time },
  local_ready: { name: 'Local backends ready' },
  cloud_ready: { name: 'Cloud backends ready' },
};

const signals: Readonly<Record<string, Reading>> = {
  judge: { name: 'Judge', show: (value) => words(String(value)) },
  prior: { name: 'Calibrated for another model' },
  calls: { name: 'Tool calls' },
  values: { name: 'Probability that the values are right', show: share },
  no_tool_fits: { name: 'Probability that no tool fits', show: share },
  more_calls: { name: 'Probability that more calls are needed', show: share },
  text_score: { name: 'Probability that the text is right', show: share },
  opening_worst_nats: { name: 'Least likely first tokens', show: likelihoods },
  repaired: { name: 'Call was repaired' },
  handed_off: { name: 'Engine handed off' },
};

/** What the policies knew when they chose the route. */
export function Features({ value }: { value: unknown }) {
  return <Readings title="Routing inputs" value={value} known={features} />;
}

/** What the judge of the local answer went by. */
export function Signals({ value }: { value: unknown }) {
  return <Readings title="How the score was made" value={value} known={signals} />;
}

function Readings({
  title,
  value,
  known,
}: {
  title: string;
  value: unknown;
  known: Readonly<Record<string, Reading>>;
}) {
  if (typeof value !== 'object' || value === null) return null;
  return (
    <section class="card">
      <h2>{title}</h2>
      <dl class="readings">
        {Object.entries(value).map(([key, found]: [string, unknown]) => {
          const { name = sentence(key), show = plain } = known[key] ?? {};
          return <Fact key={key} name={name} value={found === null ? 'not known' : show(found, value)} />;
        })}
      </dl>
    </section>
  );
}

/** A later version may record what this one has no name for. */
function plain(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return Number.isInteger(value) ? count(value) : scoreExact(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function ofNumber(show: (value: number) => string): (value: unknown) => string {
  return (value) => (typeof value === 'number' ? show(value) : plain(value));
}

/** Surprises as the probabilities they come from, which people can picture. Of a single token there is no second one. */
function likelihoods(value: unknown, among: object): string {
  if (!Array.isArray(value)) return plain(value);
  const known = 'text_tokens' in among && among.text_tokens === 1 ? value.slice(0, 1) : value;
  return known.map((found) => (typeof found === 'number' ? percent(Math.exp(-found)) : plain(found))).join(' and ');
}

/** `json_object` as `json object`. */
export function words(code: string): string {
  return code.replaceAll(/[_-]/g, ' ');
}

/** `json_object` as `Json object`. */
export function sentence(code: string): string {
  const text = words(code);
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}
