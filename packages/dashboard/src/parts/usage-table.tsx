import type { GroupedSummary } from '@lfo/router/src/records/history.ts';
import { useState } from 'preact/hooks';
import { useResource } from '../api/resource.ts';
import { keyNames } from '../api/keys.ts';
import { count, duration, money } from '../format.ts';
import { Link } from './link.tsx';
import { WideTable } from './wide-table.tsx';

const dimensions = [
  ['key', 'Key'],
  ['model', 'Model'],
  ['backend', 'Backend'],
  ['device', 'Device'],
] as const;

const figures = ['Requests', 'Local', 'Cloud', 'Failed', 'Refused', 'Tokens', 'Spent', 'Saved', 'p50', 'p95'];

interface UsageTableProps {
  /** Names the time to the interface. */
  readonly query: string;
  /** The same for links to its requests. */
  readonly span: string;
}

/** Who and what it was: requests, errors, tokens, money and latency of each group. */
export function UsageTable({ query, span }: UsageTableProps) {
  const [by, setBy] = useState<(typeof dimensions)[number][0]>('key');
  const { value } = useResource<GroupedSummary>(`/dashboard/api/usage?${query}&by=${by}`, 30_000);
  return (
    <section class="card flush">
      <div class="card-head">
        <h2>Usage</h2>
        <div class="segments" role="group" aria-label="Usage by">
          {dimensions.map(([name, text]) => (
            <button key={name} type="button" aria-pressed={by === name} onClick={() => setBy(name)}>
              {text}
            </button>
          ))}
        </div>
      </div>
      <WideTable label={`Usage by ${by}`} columns={[[by], ...figures.map((name) => [name, 'end'] as const)]}>
        {(value?.groups ?? []).map((group) => (
          <tr key={group.key ?? ''}>
            <th scope="row">
              {group.key === null ? (
                <span class="dim">none</span>
              ) : (
                <Link to={`/requests?${by}=${encodeURIComponent(group.key)}&${span}`}>
                  {by === 'key' ? (keyNames.value.get(group.key) ?? group.key) : group.key}
                </Link>
              )}
            </th>
            <td class="number end">{count(group.requests)}</td>
            <td class="number end">{count(group.local)}</td>
            <td class="number end">{count(group.cloud)}</td>
            <td class={`number end ${group.failed > 0 ? 'bad' : ''}`}>{count(group.failed)}</td>
            <td class="number end">{count(group.refused)}</td>
            <td class="number end">{count(group.promptTokens + group.completionTokens)}</td>
            <td class="number end">{money(group.costUsd)}</td>
            <td class="number end">{money(group.savedUsd)}</td>
            <td class="number end">{duration(group.latencyMs.all.p50)}</td>
            <td class="number end">{duration(group.latencyMs.all.p95)}</td>
          </tr>
        ))}
      </WideTable>
    </section>
  );
}
