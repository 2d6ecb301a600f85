// Events on a line of time: where their marks stand, and which of them are one mark. Pure.

import type { RouterEvent, Severity } from '../eventlist';

const RANK: Record<Severity, number> = { info: 0, notice: 1, warning: 2, alarm: 3 };
/** Marks that are closer are one, in pixels. */
const CLOSE = 26;

export interface Marker {
  x: number;
  /** The most severe one, of several the newest. */
  event: RouterEvent;
  /** How many are here. */
  count: number;
}

/** Marks from left to right. `xOf` has the place of a time in ms. */
export function markersOf(events: readonly RouterEvent[], xOf: (time: number) => number): Marker[] {
  const markers: Marker[] = [];
  for (const event of [...events].sort((a, b) => a.began - b.began)) {
    const x = xOf(event.began / 1000);
    const last = markers.at(-1);
    if (last && x - last.x < CLOSE) {
      last.count += 1;
      if (RANK[event.severity] >= RANK[last.event.severity]) last.event = event;
    } else markers.push({ x, event, count: 1 });
  }
  return markers;
}
