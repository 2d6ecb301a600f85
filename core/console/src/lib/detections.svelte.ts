// What plugins see on one camera, as it happens.

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Detection {
  kind: string;
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

/** A detection that nothing has followed for this long is not shown any more. */
const SHOWN_MS = 700;

export class Detections {
  marks = $state.raw<Mark[]>([]);
  #newest = new Map<string, { until: number; marks: Mark[] }>();

  /** Follows a camera until the returned function is called. */
  follow = (commune: string, camera: string): (() => void) => {
    const events = new EventSource(`/api/v1/communes/${commune}/detections?camera=${camera}`);
    events.onmessage = (event) => {
      const seen = JSON.parse(event.data as string) as {
        plugin: string;
        detections: Detection[];
      };
      const marks = seen.detections.flatMap((detection) =>
        detection.regions.map((rect): Mark => ({ rect, kind: detection.kind, text: detection.text })),
      );
      // What this plugin saw before is over: it looks at every frame anew.
      this.#newest.set(seen.plugin, { until: performance.now() + SHOWN_MS, marks });
      this.#show();
    };
    const timer = setInterval(this.#show, 200);
    return () => {
      events.close();
      clearInterval(timer);
      this.#newest.clear();
      this.marks = [];
    };
  };

  #show = (): void => {
    const now = performance.now();
    for (const [plugin, { until }] of this.#newest) {
      if (until < now) this.#newest.delete(plugin);
    }
    const marks = [...this.#newest.values()].flatMap((newest) => newest.marks);
    if (marks.length > 0 || this.marks.length > 0) this.marks = marks;
  };
}
