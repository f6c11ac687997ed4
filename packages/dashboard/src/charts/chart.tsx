import { useEffect, useRef, useState } from 'preact/hooks';
import { dayAndTime } from '../format.ts';
import { onSchemeChange } from './colours.ts';
import type { DrawnPlot, PlotOptions, Series } from './plot.ts';

interface ChartProps {
  readonly title: string;
  /** What the numbers are, for screen readers. */
  readonly unit: string;
  readonly timesMs: readonly number[];
  readonly series: readonly Series[];
  readonly shape: 'lines' | 'bars';
  readonly max?: number;
  readonly marks?: PlotOptions['marks'];
  readonly onZoom?: PlotOptions['onZoom'];
  readonly format: (value: number | null | undefined) => string;
  /** Shown in place of a chart without a value. */
  readonly empty: string;
}

/** A chart over time with its legend, which tells the values under the pointer or the arrow keys, and a table of them. */
export function Chart(props: ChartProps) {
  const { title, unit, timesMs, series, format, empty } = props;
  const [point, setPoint] = useState<number | null>(null);
  const hasValues = series.some(({ values }) => values.some((value) => value !== null && value > 0));
  const step = (by: number): void =>
    setPoint(Math.min(timesMs.length - 1, Math.max(0, (point ?? timesMs.length) + by)));
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowLeft') step(-1);
    else if (event.key === 'ArrowRight') step(1);
    else if (event.key === 'Escape') setPoint(null);
    else return;
    event.preventDefault();
  };
  return (
    <figure class="card chart">
      <figcaption>
        <h2>{title}</h2>
        <span class="unit">{unit}</span>
      </figcaption>
      {hasValues ? (
        <>
          <div
            class="plot-frame"
            role="group"
            tabIndex={0}
            aria-label={`${title}: left and right arrows move through time`}
            onKeyDown={onKeyDown}
          >
            <Plot {...props} point={point} onPoint={setPoint} />
          </div>
          <div class="chart-legend" aria-live={point === null ? 'off' : 'polite'}>
            <span class="dim number">{point === null ? 'Whole range' : dayAndTime(timesMs[point] ?? 0)}</span>
            <ul>
              {series.map(({ label, colour, values, dashed, all }) => (
                <li key={label}>
                  <span class={`swatch c-${colour} ${dashed === true ? 'dashed' : ''}`} aria-hidden="true" />
                  {label} <span class="number strong">{format(point === null ? all : values[point])}</span>
                </li>
              ))}
            </ul>
          </div>
          <ChartTable {...props} />
        </>
      ) : (
        <p class="chart-empty">{empty}</p>
      )}
    </figure>
  );
}

/** The drawing alone, loaded when it is first needed; new values are shown in place. */
function Plot(props: ChartProps & { readonly point: number | null; readonly onPoint: (index: number | null) => void }) {
  const target = useRef<HTMLDivElement>(null);
  const drawn = useRef<DrawnPlot | undefined>(undefined);
  const { timesMs, series, shape, max, marks, onZoom, format, onPoint, point } = props;
  const options: PlotOptions = {
    timesMs,
    series,
    shape,
    formatValue: format,
    onPoint,
    ...(max !== undefined && { max }),
    ...(marks !== undefined && { marks }),
    ...(onZoom !== undefined && { onZoom }),
  };
  const latest = useRef(options);
  latest.current = options;
  const draw = async (): Promise<void> => {
    const { drawPlot } = await import('./plot.ts');
    const element = target.current;
    if (element === null) return;
    drawn.current?.destroy();
    drawn.current = drawPlot(element, latest.current);
  };
  useEffect(() => {
    void draw();
    const stop = onSchemeChange(() => void draw());
    const observer = new ResizeObserver(() => drawn.current?.fit());
    if (target.current !== null) observer.observe(target.current);
    return () => {
      stop();
      observer.disconnect();
      drawn.current?.destroy();
      drawn.current = undefined;
    };
  }, []);
  useEffect(() => {
    if (drawn.current?.show(latest.current) === false) void draw();
  }, [timesMs, series, shape, max, marks]);
  useEffect(() => drawn.current?.moveTo(point), [point]);
  return <div class="plot" ref={target} aria-hidden="true" />;
}

function ChartTable({ title, unit, timesMs, series, format }: ChartProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details class="numbers" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>As a table</summary>
      {isOpen && (
        <div class="table-frame" tabIndex={0} role="group" aria-label={`${title} as a table`}>
          <table>
            <caption class="unseen">
              {title}, {unit}
            </caption>
            <thead>
              <tr>
                <th scope="col">Time</th>
                {series.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {timesMs.map((timeMs, index) => (
                <tr key={timeMs}>
                  <th scope="row">{dayAndTime(timeMs)}</th>
                  {series.map(({ label, values }) => (
                    <td key={label}>{format(values[index])}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
