import type { ComponentChildren } from 'preact';

interface WideTableProps {
  readonly label: string;
  /** Headings; one over numbers stands at the end, as the numbers do. */
  readonly columns: readonly (readonly [heading: ComponentChildren, align?: 'end'])[];
  /** The rows. */
  readonly children: ComponentChildren;
}

/** A table that scrolls sideways by itself where the page is too narrow for it, with the keyboard too. */
export function WideTable({ label, columns, children }: WideTableProps) {
  return (
    <div class="table-frame" tabIndex={0} role="group" aria-label={label}>
      <table class="wide-table">
        <thead>
          <tr>
            {columns.map(([heading, align], index) => (
              <th key={index} scope="col" class={align}>
                {heading}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}
