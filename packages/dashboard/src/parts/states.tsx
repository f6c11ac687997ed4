import type { ComponentChildren } from 'preact';
import { Link } from './link.tsx';

/** Nothing to show yet: why, and what to do about it. */
export function Empty({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

/** Something could not be loaded. */
export function Failure({ error, retry }: { error: Error; retry: () => void }) {
  return (
    <div class="empty failure" role="alert">
      <p class="empty-title">This could not be loaded.</p>
      <p>{error.message}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  );
}

/** On its way; still for those who prefer less motion. */
export function Loading() {
  return (
    <p class="loading" role="status">
      Loading…
    </p>
  );
}

interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly note?: string;
  readonly tone?: string;
  /** Where the requests behind the number are. */
  readonly to?: string;
  /** How it stands beside an earlier time, such as `+12 %`; empty says nothing. */
  readonly beside?: string;
}

/** One number and what it means. */
export function Tile({ label, value, note, tone, to, beside = '' }: TileProps) {
  return (
    <div class={`tile ${tone ?? ''}`}>
      <dt>{label}</dt>
      <dd>
        <span class="tile-value">{to === undefined ? value : <Link to={to}>{value}</Link>}</span>
        {note !== undefined && <span class="tile-note">{note}</span>}
        {beside !== '' && (
          <span class="tile-note number" title="Compared with the period before, of the same length">
            {beside} <span class="unseen">compared with the period before</span>
          </span>
        )}
      </dd>
    </div>
  );
}

/** Heading of a view; takes the focus when the view is entered. */
export function ViewHead({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="head">
      <h1 tabIndex={-1}>{title}</h1>
      {children}
    </div>
  );
}
