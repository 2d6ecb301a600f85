// What plugins see on one camera, drawn on the picture that they saw it in.

import type { Player } from './player.svelte';

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Detection {
  kind: string;
  /** Microseconds since 1970, by the router's clock. */
  at: number;
  confidence: number;
  regions: Rect[];
  track: number | null;
  text: string;
}

export interface Mark {
  rect: Rect;
  kind: string;
  text: string;
}

/** What a plugin saw in one picture. */
interface Seen {
  at: number;
  arrived: number;
  marks: Mark[];
}

/** What was seen is shown on the pictures about it, and no longer than this. */
const SHOWN_MS = 700;
/** What a plugin saw of late: more than a second of it. */
const KEPT = 32;

/** What was seen nearest to a moment: before it, or after it if that is known already. */
function near(list: Seen[], moment: number): Seen | undefined {
  const far = (seen: Seen): number => Math.abs(seen.at - moment);
  return list.reduce<Seen | undefined>(
    (best, seen) => (best && far(best) <= far(seen) ? best : seen),
    undefined,
  );
}

export class Detections {
  marks = $state.raw<Mark[]>([]);
  /** How much older what is drawn is than the picture it is drawn on, in ms; null when not known. */
  behind = $state<number | null>(null);
  #seen = new Map<string, Seen[]>();

  constructor(private readonly player: Player) {}

  /** Follows a camera until the returned function is called. */
  follow = (commune: string, camera: string): (() => void) => {
    const events = new EventSource(`/api/v1/communes/${commune}/detections?camera=${camera}`);
    events.onmessage = (event) => {
      const seen = JSON.parse(event.data as string) as {
        plugin: string;
        detections: Detection[];
      };
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
      detection.regions.map((rect): Mark => ({ rect, kind: detection.kind, text: detection.text })),
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
      const nearest = shown === null ? list.at(-1) : near(list, shown);
      if (!nearest) continue;
      const age = shown === null ? now - nearest.arrived : Math.abs(shown - nearest.at) / 1000;
      if (age < SHOWN_MS) current.push(nearest);
      if (list.every((seen) => now - seen.arrived > 2 * SHOWN_MS)) this.#seen.delete(plugin);
    }
    const marks = current.flatMap((seen) => seen.marks);
    if (marks.length > 0 || this.marks.length > 0) this.marks = marks;
    const newest = Math.max(...current.map((seen) => seen.at));
    this.behind = shown === null || current.length === 0 ? null : Math.round((shown - newest) / 1000);
  };
}
