// What there is of a camera, and what is missing and why. Pure. Times are milliseconds since 1970.

import type { components } from '../api';

export type GapReason = components['schemas']['GapReason'];

export interface Span {
  start: number;
  end: number;
}

export interface Recorded extends Span {
  /** It was recorded and is kept elsewhere only: the router fetches it when it is asked for. */
  elsewhere: boolean;
}

export interface Gap extends Span {
  reason: GapReason;
}

export interface Spans {
  recorded: Recorded[];
  gaps: Gap[];
}

export const NOTHING: Spans = { recorded: [], gaps: [] };

type Answer = components['schemas']['CameraTimeline'];

/** A disk that is busy takes so long at most until what it has is told, in ms. */
const BEING_WRITTEN = 15_000;
/** Reasons of what may come yet. */
const VAGUE: readonly GapReason[] = ['pictures-missing', 'unknown'];

/** What the router says at `now`. What has not come, or is being written, is not missing. */
export function spansOf({ recorded, gaps }: Answer, now: number): Spans {
  return {
    recorded: recorded.map(({ start, end, elsewhere }) => ({
      start: start / 1000,
      end: end / 1000,
      elsewhere: elsewhere ?? false,
    })),
    gaps: gaps
      .map(({ start, end, reason }): Gap => ({ start: start / 1000, end: end / 1000, reason }))
      .filter(({ start, end, reason }) => {
        const recent = end > now - 1000 && now - start < BEING_WRITTEN;
        return reason !== 'not-yet' && !(recent && VAGUE.includes(reason));
      }),
  };
}

/** The last one that does not begin after a time: they are in order. */
function before<T extends Span>(spans: readonly T[], time: number): T | undefined {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.start ?? Infinity) <= time) low = middle + 1;
    else high = middle;
  }
  return spans[low - 1];
}

export function at<T extends Span>(spans: readonly T[], time: number): T | undefined {
  const found = before(spans, time);
  return found && time < found.end ? found : undefined;
}

/** When something begins that was recorded, at or after a time, here or elsewhere. */
export function nextStart(spans: readonly Recorded[], time: number): number | null {
  if (at(spans, time)) return time;
  return spans.find(({ start }) => start > time)?.start ?? null;
}

/** When the last thing ended that was recorded before a time. */
export function lastEnd(spans: readonly Recorded[], time: number): number | null {
  return before(spans, time)?.end ?? null;
}

/** What is not within the line, cut off; what is closer than `least`, as one. */
export function merged<T extends Span>(
  spans: readonly T[],
  { from, to, least }: { from: number; to: number; least: number },
  alike: (a: T, b: T) => boolean = () => true,
): T[] {
  const all: T[] = [];
  for (const span of spans) {
    const start = Math.max(span.start, from);
    const end = Math.min(span.end, to);
    if (end <= start) continue;
    const last = all.at(-1);
    if (last && start - last.end <= least && alike(last, span)) last.end = Math.max(last.end, end);
    else all.push({ ...span, start, end });
  }
  return all;
}

/** Recorded in one or the other. */
export function union(a: readonly Recorded[], b: readonly Recorded[]): Recorded[] {
  const all: Recorded[] = [];
  for (const span of [...a, ...b].sort((one, two) => one.start - two.start)) {
    const last = all.at(-1);
    if (last && span.start <= last.end && span.elsewhere === last.elsewhere) {
      last.end = Math.max(last.end, span.end);
    } else all.push({ ...span });
  }
  return all;
}

/** How much of an interval was recorded, in ms. */
export function covered(spans: readonly Recorded[], from: number, to: number): number {
  const within = merged(spans, { from, to, least: 0 });
  return within.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** The gaps of an interval that are worth a word. */
export function gapsWithin(spans: Spans, from: number, to: number): Gap[] {
  return merged(spans.gaps, { from, to, least: 0 }, (a, b) => a.reason === b.reason).filter(
    ({ start, end }) => end - start >= 500,
  );
}
