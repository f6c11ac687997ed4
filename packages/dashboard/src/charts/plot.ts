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
  /** Fills the room down to the series before it. */
  readonly isBand?: boolean;
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
  /** Moments that are marked by a line. */
  readonly marks?: readonly { readonly timeMs: number; readonly kind: string }[];
  /** A part of the time was dragged over. */
  readonly onZoom?: (fromMs: number, untilMs: number) => void;
  /** The step under the pointer; `null` when it leaves. */
  readonly onPoint: (index: number | null) => void;
}

const heightPx = 190;

/** A chart that is drawn. */
export interface DrawnPlot {
  /** Shows other values in place; false where its series are others, and it has to be drawn anew. */
  show(options: PlotOptions): boolean;
  /** Points at a step, or at none. */
  moveTo(index: number | null): void;
  /** Fits it to its element again. */
  fit(): void;
  destroy(): void;
}

/** Draws a chart into an element. Bars are stacked in the order of their series. */
export function drawPlot(target: HTMLElement, options: PlotOptions): DrawnPlot {
  let now = options;
  const plot = new uPlot(
    uplotOptions(target, () => now),
    dataOf(options),
    target,
  );
  return {
    show(next) {
      if (!hasSameSeries(now, next)) return false;
      now = next;
      plot.setData(dataOf(next));
      return true;
    },
    moveTo(index) {
      if (plot.cursor.idx === index) return;
      const left = index === null ? -10 : plot.valToPos((now.timesMs[index] ?? 0) / 1_000, 'x');
      plot.setCursor({ left, top: 0 }, false);
    },
    fit: () => plot.setSize({ width: target.clientWidth, height: heightPx }),
    destroy: () => plot.destroy(),
  };
}

function dataOf(options: PlotOptions): uPlot.AlignedData {
  return [options.timesMs.map((timeMs) => timeMs / 1_000), ...drawnSeries(options).map(({ values }) => [...values])];
}

/** A stack is drawn from its top down, so that each bar covers the foot of the one before. */
function drawnSeries({ shape, series }: PlotOptions): readonly Series[] {
  return shape === 'bars' ? stacked(series).toReversed() : series;
}

function hasSameSeries(a: PlotOptions, b: PlotOptions): boolean {
  const names = ({ shape, series }: PlotOptions): string =>
    [shape, ...series.map(({ label, colour, dashed, isBand }) => `${label} ${colour} ${dashed} ${isBand}`)].join('\n');
  return names(a) === names(b);
}

function uplotOptions(target: HTMLElement, now: () => PlotOptions): uPlot.Options {
  const { shape, onZoom } = now();
  const series = drawnSeries(now());
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
    cursor: {
      y: false,
      points: { show: shape === 'lines' },
      drag: { x: onZoom !== undefined, y: false, setScale: false },
    },
    scales: { y: { range: (_plot, _low, high) => [0, now().max ?? niceMax(high)] } },
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
        values: (_plot, ticks) => ticks.map((tick) => onScale(now().formatValue(tick))),
      },
    ],
    series: [{}, ...series.map((one) => seriesOptions(one, shape))],
    bands: series.flatMap(({ isBand, colour }, index) =>
      isBand === true && index > 0 ? [{ series: [index + 1, index], fill: thin(colourOf(colour)) }] : [],
    ),
    hooks: {
      setCursor: [({ cursor }) => now().onPoint(cursor.idx ?? null)],
      setSelect: [(plot) => zoomed(plot, now().onZoom)],
      draw: [(plot) => drawMarks(plot, now().marks ?? [])],
    },
  };
}

/** The same colour, seen through. */
function thin(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, 'rgba($1, 0.16)');
}

/** Less than this was a click. */
const shortestDragPx = 8;

function zoomed(plot: uPlot, onZoom: PlotOptions['onZoom']): void {
  const { left, width } = plot.select;
  if (width < shortestDragPx || onZoom === undefined) return;
  const at = (px: number): number => plot.posToVal(px, 'x') * 1_000;
  const [from, until] = [at(left), at(left + width)];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  onZoom(from, until);
}

function drawMarks(plot: uPlot, marks: NonNullable<PlotOptions['marks']>): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = colourOf('dim');
  ctx.lineWidth = 1;
  ctx.setLineDash([3, 4]);
  for (const { timeMs } of marks) {
    const x = Math.round(plot.valToPos(timeMs / 1_000, 'x', true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function seriesOptions({ label, colour, dashed, isBand }: Series, shape: 'lines' | 'bars'): uPlot.Series {
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
  const width = isBand === true ? 0.75 : dashed === true ? 1.5 : 2;
  return { label, stroke, width, spanGaps: true, ...(dashed === true && { dash: [5, 4] }) };
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
