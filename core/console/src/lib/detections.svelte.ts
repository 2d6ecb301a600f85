// What plugins see on one camera, drawn on the picture that they saw it in.

import type { components } from './api';
import { marksAt, type Mark, type Seen } from './marks';
import type { Player } from './player.svelte';

type Detection = components['schemas']['Detection'];

interface Arrived extends Seen {
  arrived: number;
}

/** What was seen is shown on the pictures about it, and no longer than this. */
const SHOWN_MS = 700;
/** What a plugin saw of late: more than a second of it. */
const KEPT = 32;

export class Detections {
  marks = $state.raw<Mark[]>([]);
  /** How much older what is drawn is than the picture it is drawn on, in ms; null when not known. */
  behind = $state<number | null>(null);
  // Not on screen: what is, is chosen from it at every picture.
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  #seen = new Map<string, Arrived[]>();

  constructor(private readonly player: Player) {}

  /** Follows a camera until the returned function is called. */
  follow = (commune: string, camera: string): (() => void) => {
    const events = new EventSource(`/api/v1/communes/${commune}/detections?camera=${camera}`);
    events.onmessage = (event) => {
      const seen = JSON.parse(event.data as string) as components['schemas']['Seen'];
      this.#take(seen.plugin, seen.detections);
    };
    this.player.onshown = this.#show;
    const timer = setInterval(this.#show, 200);
    return () => {
      events.close();
      clearInterval(timer);
      this.player.onshown = null;
      this.player.prompt();
      this.#seen.clear();
      this.marks = [];
    };
  };

  #take(plugin: string, detections: Detection[]): void {
    const at = Math.max(...detections.map((d) => d.at));
    const marks = detections.flatMap((detection) =>
      detection.regions.map((rect): Mark => ({
        rect,
        kind: detection.kind,
        text: detection.text,
        // A track is one thing only where it has one place.
        track: detection.regions.length === 1 ? detection.track : null,
      })),
    );
    const list = this.#seen.get(plugin) ?? [];
    list.push({ at, arrived: performance.now(), marks });
    this.#seen.set(plugin, list.slice(-KEPT));
    const shown = this.player.shownAt;
    if (shown === null) return;
    const late = (shown - at) / 1000;
    // What is older than it is shown has waited elsewhere: holding pictures back does not help.
    if (late > 0 && late < SHOWN_MS) this.player.late(late);
  }

  #show = (): void => {
    const shown = this.player.shownAt;
    const now = performance.now();
    const current: Seen[] = [];
    for (const [plugin, list] of this.#seen) {
      const last = list.at(-1);
      const seen = shown === null ? last : marksAt(list, shown);
      if (!seen || !last) continue;
      const age = shown === null ? now - last.arrived : Math.abs(shown - seen.at) / 1000;
      if (age < SHOWN_MS) current.push(seen);
      if (list.every((seen) => now - seen.arrived > 2 * SHOWN_MS)) this.#seen.delete(plugin);
    }
    const marks = current.flatMap((seen) => seen.marks);
    if (marks.length > 0 || this.marks.length > 0) this.marks = marks;
    const newest = Math.max(...current.map((seen) => seen.at));
    this.behind = shown === null || current.length === 0 ? null : Math.round((shown - newest) / 1000);
  };
}
