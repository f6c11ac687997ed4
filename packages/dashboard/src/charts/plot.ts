import uPlot from 'uplot';
import { onScale, timeMarks } from '../format.ts';
import { colourOf } from './colours.ts';

/** One line or stack of bars. */
export interface Series {
  readonly label: string;
  /** Name of a colour in the style sheet. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly dashed?: boolean;
  /** The value of the whole range. */
  readonly all: number | null;
}

export interface PlotOptions {
  readonly timesMs: readonly number[];
  readonly series: readonly Series[];
  readonly shape: 'lines' | 'bars';
  /** Top of the scale, where it is known. */
  readonly max?: number;
  readonly formatValue: (value: number) => string;
  /** The step under the pointer; `null` when it leaves. */
  readonly onPoint: (index: number | null) => void;
}

const heightPx = 190;

/** Draws a chart into an element. Bars are stacked in the order of their series. */
export function drawPlot(target: HTMLElement, options: PlotOptions): uPlot {
  const { timesMs, shape } = options;
  const series = shape === 'bars' ? stacked(options.series) : options.series;
  // A stack is drawn from its top down, so that each bar covers the foot of the one before.
  const ordered = shape === 'bars' ? series.toReversed() : series;
  const data: uPlot.AlignedData = [
    timesMs.map((timeMs) => timeMs / 1_000),
    ...ordered.map(({ values }) => [...values]),
  ];
  return new uPlot(uplotOptions(target, options, ordered), data, target);
}

/** Fits a chart to its element again. */
export function fitPlot(plot: uPlot, target: HTMLElement): void {
  plot.setSize({ width: target.clientWidth, height: heightPx });
}

function uplotOptions(target: HTMLElement, options: PlotOptions, series: readonly Series[]): uPlot.Options {
  const { shape, formatValue, max, onPoint } = options;
  const axis = {
    stroke: colourOf('dim'),
    font: '12px system-ui, sans-serif',
    grid: { stroke: colourOf('line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: target.clientWidth,
    height: heightPx,
    padding: [12, 22, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { show: shape === 'lines' }, drag: { setScale: false } },
    scales: { y: { range: (_plot, _low, high) => [0, max ?? niceMax(high)] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        space: 70,
        size: 30,
        values: (_plot, ticks, _axis, _space, stepS) =>
          timeMarks(
            ticks.map((timeS) => timeS * 1_000),
            stepS * 1_000,
          ),
      },
      {
        ...axis,
        size: 62,
        gap: 6,
        space: 36,
        values: (_plot, ticks) => ticks.map((tick) => onScale(formatValue(tick))),
      },
    ],
    series: [{}, ...series.map((one) => seriesOptions(one, shape))],
    hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? null)] },
  };
}

function seriesOptions({ label, colour, dashed }: Series, shape: 'lines' | 'bars'): uPlot.Series {
  const stroke = colourOf(colour);
  if (shape === 'bars') {
    const { bars } = uPlot.paths;
    return {
      label,
      stroke,
      fill: stroke,
      width: 0,
      points: { show: false },
      ...(bars && { paths: bars({ size: [0.72, 28] }) }),
    };
  }
  return { label, stroke, width: dashed === true ? 1.5 : 2, spanGaps: true, ...(dashed === true && { dash: [5, 4] }) };
}

function stacked(series: readonly Series[]): readonly Series[] {
  const sums: number[] = [];
  return series.map((one) => ({
    ...one,
    values: one.values.map((value, index) => {
      const sum = (sums[index] ?? 0) + (value ?? 0);
      sums[index] = sum;
      return sum;
    }),
  }));
}

/** Room above the highest value; an empty chart still has a scale. */
function niceMax(high: number | null): number {
  return high === null || high <= 0 ? 1 : high * 1.12;
}
