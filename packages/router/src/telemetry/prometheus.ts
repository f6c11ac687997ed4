/** Metrics in Prometheus' text format, version 0.0.4. A count is a look-up in a map and an addition. */

type Values = readonly (string | number)[];

/** What one family of series is. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
}

/** Adds one sample: values of the labels in their order, and the number. */
export type Add = (values: Values, number: number) => void;

/** Holds the families, in the order in which they were made. */
export class Registry {
  readonly #families: { readonly family: Family; readonly lines: () => string }[] = [];

  /** Counts by labels; their values are given in this order. */
  counter(name: string, help: string, labels: readonly string[]): Counter {
    const counter = new Counter(name, labels);
    this.#families.push({ family: { name, help, type: 'counter' }, lines: () => counter.lines() });
    return counter;
  }

  /** @param bounds upper ends of the buckets, rising */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram {
    const histogram = new Histogram(name, labels, bounds);
    this.#families.push({ family: { name, help, type: 'histogram' }, lines: () => histogram.lines() });
    return histogram;
  }

  /** A family that somebody else counts or measures, asked each time the text is wanted. */
  collected(family: Family, labels: readonly string[], collect: (add: Add) => void): void {
    const lines = (): string => {
      let text = '';
      collect((values, number) => (text += `${family.name}${labelText(labels, values)} ${numberText(number)}\n`));
      return text;
    };
    this.#families.push({ family, lines });
  }

  text(): string {
    return this.#families
      .map(({ family: { name, help, type }, lines }) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines()}`)
      .join('\n');
  }
}

/** Separates the values of labels in a key; no value holds it. */
const separator = '\u0000';

export class Counter {
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #series = new Map<string, { readonly values: Values; count: number }>();

  constructor(name: string, labels: readonly string[]) {
    this.#name = name;
    this.#labels = labels;
    if (labels.length === 0) this.add([], 0);
  }

  add(values: Values, by = 1): void {
    const key = values.join(separator);
    const known = this.#series.get(key);
    if (known === undefined) this.#series.set(key, { values, count: by });
    else known.count += by;
  }

  lines(): string {
    let text = '';
    for (const { values, count } of this.#series.values()) {
      text += `${this.#name}${labelText(this.#labels, values)} ${numberText(count)}\n`;
    }
    return text;
  }
}

interface Distribution {
  readonly values: Values;
  /** By bucket, not yet summed up; the last holds what is beyond all bounds. */
  readonly counts: number[];
  sum: number;
}

export class Histogram {
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #series = new Map<string, Distribution>();

  constructor(name: string, labels: readonly string[], bounds: readonly number[]) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
    if (labels.length === 0) this.#seriesOf([]);
  }

  observe(values: Values, value: number): void {
    const series = this.#seriesOf(values);
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++;
    series.counts[at] = (series.counts[at] ?? 0) + 1;
    series.sum += value;
  }

  lines(): string {
    let text = '';
    const bucketLabels = ['le', ...this.#labels];
    for (const { values, counts, sum } of this.#series.values()) {
      let count = 0;
      for (const [at, inBucket] of counts.entries()) {
        count += inBucket;
        const bound = this.#bounds[at];
        const labels = labelText(bucketLabels, [bound ?? '+Inf', ...values]);
        text += `${this.#name}_bucket${labels} ${numberText(count)}\n`;
      }
      const labels = labelText(this.#labels, values);
      text += `${this.#name}_sum${labels} ${numberText(sum)}\n${this.#name}_count${labels} ${numberText(count)}\n`;
    }
    return text;
  }

  #seriesOf(values: Values): Distribution {
    const key = values.join(separator);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const made = { values, counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 };
    this.#series.set(key, made);
    return made;
  }
}

function labelText(labels: readonly string[], values: Values): string {
  if (labels.length === 0) return '';
  return `{${labels.map((label, at) => `${label}="${escaped(String(values[at] ?? ''))}"`).join(',')}}`;
}

function escaped(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
