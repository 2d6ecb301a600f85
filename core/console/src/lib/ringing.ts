// When the bell rings, and what it sounds like: without browser and clock.

import { isSevere, openedAt, standsOut, type RouterEvent } from './eventlist';

/** What is older when it is seen is for the eyes only. */
const NEWS_MS = 60_000;
/** One tone at a time: a storm of events is no siren. */
const APART_MS = 1500;
/** Events that are remembered as rung for. */
const REMEMBERED = 500;

export type Pitch = 'warning' | 'alarm';

/** Decides for each event once whether there is something to be heard. */
export class Ringing {
  // Not on screen.
  #known = new Set<string>();
  #last: { at: number; pitch: Pitch } | null = null;

  /** `since` is when the page was opened, in ms since 1970 by the router's clock. */
  constructor(private readonly since: number) {}

  /** What is news, at `now` by the same clock: not what was there before, nor what is told late. */
  isNews(event: RouterEvent, now: number): boolean {
    if (!standsOut(event) || this.#known.has(event.id)) return false;
    this.#known.add(event.id);
    if (this.#known.size > REMEMBERED) {
      for (const oldest of this.#known) {
        this.#known.delete(oldest);
        break;
      }
    }
    const opened = openedAt(event.id);
    return opened >= this.since && now - opened <= NEWS_MS;
  }

  /** The tone for it; none while another is heard that says as much. */
  pitch(event: RouterEvent, now: number): Pitch | null {
    const pitch = isSevere(event, 'alarm') ? 'alarm' : 'warning';
    const last = this.#last;
    const heard = last !== null && now >= last.at && now - last.at < APART_MS;
    if (heard && (last.pitch === 'alarm' || pitch === 'warning')) return null;
    this.#last = { at: now, pitch };
    return pitch;
  }
}

/** Notes one after the other, each as its frequency in Hz and its length in seconds. */
export const TONES: Record<Pitch, [number, number][]> = {
  warning: [
    [523, 0.18],
    [659, 0.3],
  ],
  alarm: [
    [880, 0.16],
    [1175, 0.16],
    [880, 0.16],
    [1175, 0.32],
  ],
};
