// Whether anybody sees the page, and whether it was held: a tab behind others, a laptop that slept, a page
// that the browser froze or put aside.

/** How often it is looked whether time passed that the page did not see. */
const LOOK_MS = 1000;
/** Timers of a loaded machine come late, too; this much is sleep. */
const SLEPT_MS = 3000;

interface Held {
  /** Pictures are seen from now on, or are not. */
  seen?: (seen: boolean) => void;
  /** The page was held, and goes on: what was known is of before. */
  woke?: () => void;
  /** The page is being left, for good or for a while: nothing will be done any more. */
  left?: () => void;
  /** It is back as it was left. */
  back?: () => void;
}

/** What the two clocks and the page were like when it was looked last. */
export interface Look {
  wall: number;
  own: number;
  visible: boolean;
}

/** Whether the page was held between two looks. A machine that sleeps stops the page's own clock, or its
 * timers, or both, while the clock on the wall goes on. One that is set forward looks the same, which costs a
 * question to the router. Timers of a page that nobody sees are late by themselves. */
export function wasHeld(before: Look, now: Look): boolean {
  const own = now.own - before.own;
  const wall = now.wall - before.wall;
  return wall - own > SLEPT_MS || (before.visible && now.visible && own > LOOK_MS + SLEPT_MS);
}

const look = (): Look => ({
  wall: Date.now(),
  own: performance.now(),
  visible: document.visibilityState === 'visible',
});

export class Sight {
  /** Whether pictures are seen. */
  seen = document.visibilityState === 'visible';
  #listeners: Held[] = [];
  #frozen = false;
  #last = look();

  constructor() {
    document.addEventListener('visibilitychange', this.#look);
    document.addEventListener('freeze', () => {
      this.#frozen = true;
      // The last that is done before the page stands still, however long that takes.
      this.#look();
    });
    document.addEventListener('resume', () => {
      this.#frozen = false;
      this.#look();
      this.#tell((one) => one.woke?.());
    });
    addEventListener('pagehide', () => this.#tell((one) => one.left?.()));
    addEventListener('pageshow', ({ persisted }) => {
      if (persisted) this.#tell((one) => one.back?.());
    });
    setInterval(this.#look, LOOK_MS);
  }

  /** Says so from now on, until the returned function is called. */
  listen = (held: Held): (() => void) => {
    this.#listeners.push(held);
    return () => {
      this.#listeners = this.#listeners.filter((one) => one !== held);
    };
  };

  #look = (): void => {
    const [before, now] = [this.#last, look()];
    this.#last = now;
    const seen = now.visible && !this.#frozen;
    if (seen !== this.seen) {
      this.seen = seen;
      this.#tell((one) => one.seen?.(seen));
    }
    if (wasHeld(before, now)) this.#tell((one) => one.woke?.());
  };

  #tell(what: (one: Held) => void): void {
    this.#listeners.forEach(what);
  }
}

export const sight = new Sight();
