/** One measured value. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ParsedMetrics {
  /** Type of each metric family. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly Sample[];
}

const metricName = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const labelPair = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"';
const number = '[+-]?(?:\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?|Inf)|NaN';
const sampleLine = new RegExp(`^(${metricName})(?:\\{(${labelPair}(?:,${labelPair})*)\\})? (${number})$`);
const suffixes = /_(?:bucket|sum|count)$/;

/**
 * Reads Prometheus' text format 0.0.4 as strictly as its documentation puts it: each family once, with help and type
 * first; counters end in `_total`; no series twice; buckets grow up to `+Inf`, which is the count.
 * @throws where a line or a family is not so
 */
export function parseMetrics(text: string): ParsedMetrics {
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const samples: Sample[] = [];
  const series = new Set<string>();
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const [, keyword, family = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (helps.has(family)) throw new Error(`a second family ${family}`);
      helps.add(family);
    } else if (keyword === 'TYPE') {
      if (types.has(family) || !helps.has(family)) throw new Error(`TYPE of ${family} is out of place`);
      if (!/^(counter|gauge|histogram|summary)$/.test(rest)) throw new Error(`no type: ${rest}`);
      if ((rest === 'counter') !== family.endsWith('_total')) throw new Error(`${family} is named against its type`);
      types.set(family, rest);
    } else {
      const sample = parseSample(line);
      const owner = types.has(sample.name) ? sample.name : sample.name.replace(suffixes, '');
      if (!types.has(owner)) throw new Error(`${sample.name} has no type`);
      const key = `${sample.name}${labelKey(sample.labels)}`;
      if (series.has(key)) throw new Error(`twice: ${line}`);
      series.add(key);
      samples.push(sample);
    }
  }
  checkBuckets(types, samples);
  return { types, samples };
}

/** The value of the one series with exactly these labels. */
export function valueOf(
  metrics: ParsedMetrics,
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  const wanted = labelKey(labels);
  return metrics.samples.find((sample) => sample.name === name && labelKey(sample.labels) === wanted)?.value;
}

/** The same for the same labels in any order. */
function labelKey(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function parseSample(line: string): Sample {
  const match = sampleLine.exec(line);
  if (match === null) throw new Error(`not a sample: ${line}`);
  const [, name = '', labels = '', value = ''] = match;
  const pairs = labels.match(new RegExp(labelPair, 'g')) ?? [];
  const split = pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 2, -1)] as const);
  return { name, labels: Object.fromEntries(split), value: Number(value.replace('Inf', 'Infinity')) };
}

function checkBuckets(types: ReadonlyMap<string, string>, samples: readonly Sample[]): void {
  const last = new Map<string, number>();
  for (const { name, labels, value } of samples) {
    const family = name.replace(/_(bucket|count)$/, '');
    if (types.get(family) !== 'histogram' || name === family) continue;
    const { le, ...others } = labels;
    const key = `${family}${labelKey(others)}`;
    const before = last.get(key) ?? 0;
    if (name.endsWith('_bucket') && value < before) throw new Error(`a bucket of ${family} shrinks at ${le}`);
    if (name.endsWith('_count') && value !== before) throw new Error(`the count of ${family} is not its last bucket`);
    if (!name.endsWith('_sum')) last.set(key, value);
  }
}
