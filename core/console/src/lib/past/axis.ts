// A line of time on screen: the moment that is shown stands in its middle. Times are milliseconds since 1970.

export interface Axis {
  /** In the middle. */
  moment: number;
  /** From end to end, in ms. */
  span: number;
  /** Pixels. */
  width: number;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const LEAST_SPAN = MINUTE;
/** As much as the router answers at once. */
export const MOST_SPAN = 31 * DAY;
/** What is chosen by one step, from minutes to a month. */
export const SPANS = [2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, MOST_SPAN] as const;

export const startOf = ({ moment, span }: Axis): number => moment - span / 2;
export const endOf = ({ moment, span }: Axis): number => moment + span / 2;

export function xOf(axis: Axis, time: number): number {
  return ((time - startOf(axis)) / axis.span) * axis.width;
}

export function timeOf(axis: Axis, x: number): number {
  return startOf(axis) + (x / Math.max(1, axis.width)) * axis.span;
}

export function bounded(span: number): number {
  return Math.min(MOST_SPAN, Math.max(LEAST_SPAN, span));
}

/** The next step to more or less than a span. */
export function stepped(span: number, more: boolean): number {
  if (more) return SPANS.find((one) => one > span * 1.01) ?? MOST_SPAN;
  return SPANS.findLast((one) => one < span * 0.99) ?? LEAST_SPAN;
}

/** What is asked of the router for a view: with something on both sides, so that dragging finds it there. */
export function windowFor(axis: Axis): { from: number; to: number } {
  const beside = Math.min(axis.span / 2, (MOST_SPAN - axis.span) / 2);
  return { from: startOf(axis) - beside, to: endOf(axis) + beside };
}

const STEPS = [
  ...[1, 2, 5, 10, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7].map((n) => n * DAY),
];
/** A label wants so much room, in pixels. */
const LABEL = 78;

export interface Tick {
  time: number;
  x: number;
  /** It is midnight there: the day is said. */
  day: boolean;
}

/** Where times are written, so that labels do not touch. `offsetAt` says how far a zone is ahead of UTC. */
export function ticksOf(axis: Axis, offsetAt: (time: number) => number): Tick[] {
  const least = (axis.span * LABEL) / Math.max(1, axis.width);
  const step = STEPS.find((one) => one >= least) ?? 7 * DAY;
  const offset = offsetAt(axis.moment);
  const ticks: Tick[] = [];
  const first = Math.ceil((startOf(axis) + offset) / step) * step;
  for (let there = first; there - offset <= endOf(axis); there += step) {
    const time = there - offset;
    ticks.push({ time, x: xOf(axis, time), day: there % DAY === 0 });
  }
  return ticks;
}
