import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { RequestPage } from '@lfo/router/src/records/history.ts';
import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { ask } from './client.ts';

/** Recorded requests as far back as the viewer has looked. */
export interface Pages {
  readonly query: string;
  readonly requests: readonly RequestView[];
  /** Where to go on; `null` at the end of the records, `undefined` before anything is known. */
  readonly next: string | null | undefined;
  /** The latest page ended before it was full: so much was looked at that nothing was found in. */
  readonly endedEarly: boolean;
  readonly isLoading: boolean;
  readonly error: Error | undefined;
}

const pageSize = 40;

/** Kept while the viewer is elsewhere, so that the way back leads to the same rows. */
const pages = signal<Pages>(nothing(''));

/** The requests that a filter lets through, and how to see more of them. `query` is that of the interface. */
export function usePages(query: string): {
  readonly pages: Pages;
  readonly more: () => void;
  readonly reload: () => void;
} {
  const isCurrent = pages.value.query === query;
  useEffect(() => {
    if (!isCurrent || pages.value.next === undefined) void load(nothing(query));
  }, [query]);
  return {
    pages: isCurrent ? pages.value : nothing(query),
    more: () => void load(pages.value),
    reload: () => void load(nothing(query)),
  };
}

async function load(before: Pages): Promise<void> {
  const started: Pages = { ...before, isLoading: true, error: undefined };
  pages.value = started;
  const after = before.next ?? undefined;
  const parameters = new URLSearchParams(before.query);
  parameters.set('limit', String(pageSize));
  if (after !== undefined) parameters.set('before', after);
  try {
    const { requests, next } = await ask<RequestPage>(`/dashboard/api/requests?${parameters}`);
    if (pages.value !== started) return;
    pages.value = {
      ...started,
      requests: [...before.requests, ...requests],
      next,
      endedEarly: next !== null && requests.length < pageSize,
      isLoading: false,
    };
  } catch (error) {
    if (pages.value !== started || !(error instanceof Error)) return;
    pages.value = { ...started, isLoading: false, error };
  }
}

function nothing(query: string): Pages {
  return { query, requests: [], next: undefined, endedEarly: false, isLoading: true, error: undefined };
}
