// What an interval comes to before it is exported or held. Pure.

import { covered, gapsWithin, type Gap, type Spans } from './spans';

/** As much as the router gives at once, in ms. */
export const LONGEST_EXPORT = 6 * 3_600_000;
/** The longest that is written of a reason, and of a case. */
export const LONGEST_WHY = 1000;
export const LONGEST_CASE = 100;

export interface Comes {
  camera: string;
  /** ms. */
  recorded: number;
  gaps: Gap[];
}

/** What there is of each camera. */
export function comesOf(
  cut: { from: number; to: number },
  spans: readonly { camera: string; spans: Spans }[],
): Comes[] {
  return spans.map(({ camera, spans }) => ({
    camera,
    recorded: covered(spans.recorded, cut.from, cut.to),
    gaps: gapsWithin(spans, cut.from, cut.to),
  }));
}

/** Bytes of what is there: as a playlist of it says. Pieces reach a little beyond both ends. */
export function bytesOf(
  pieces: readonly { start: number; end: number; bytes: number }[],
  { from, to }: { from: number; to: number },
): number {
  return pieces.reduce((sum, { start, end, bytes }) => {
    const within = Math.min(end, to) - Math.max(start, from);
    return within <= 0 ? sum : sum + bytes * Math.min(1, within / (end - start));
  }, 0);
}
