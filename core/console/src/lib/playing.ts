// Whether one picture plays, and what is done when it does not: a machine without a browser, a network
// or a clock of its own. `player.svelte.ts` tells it what happens and does what it says.

export type PlayState = 'connecting' | 'live' | 'stalled' | 'offline';

export interface Playing {
  readonly state: PlayState;
  readonly cause: string | null;
  /** When the next attempt is made; null while one is under way or pictures come. */
  readonly retryAt: number | null;
  /** Attempts that failed since the last picture. */
  readonly failures: number;
  /** When the last picture was shown. */
  readonly shownAt: number;
}

export type Happened =
  /** There is an element to show pictures in. */
  | { is: 'attached' }
  /** A picture came on screen. */
  | { is: 'shown' }
  /** Time passed. */
  | { is: 'tick' }
  /** The router refused, or the connection was lost. */
  | { is: 'failed'; cause: string }
  /** The wait is over. */
  | { is: 'due' }
  /** The router says that the camera is live. */
  | { is: 'told' };

export type Todo =
  /** End what there is and connect anew. */
  | { do: 'connect' }
  /** End what there is. */
  | { do: 'close' }
  /** Say `due` then; no earlier wish for it holds. */
  | { do: 'wait'; ms: number };

export const STALL_MS = 1500;
export const FIRST_RETRY_MS = 1000;
export const LONGEST_RETRY_MS = 15_000;

export const BEGINNING: Playing = {
  state: 'connecting',
  cause: null,
  retryAt: null,
  failures: 0,
  shownAt: 0,
};

/** What has become of it, and what is to be done. `now` is in ms, `chance` from 0 to 1. */
export function after(
  before: Playing,
  happened: Happened,
  now: number,
  chance: number,
): { playing: Playing; todo: Todo[] } {
  const still = { playing: before, todo: [] };
  switch (happened.is) {
    case 'attached':
      return connect(before);
    case 'shown': {
      const live = { state: 'live', cause: null, failures: 0 } as const;
      return { playing: { ...before, ...live, shownAt: now }, todo: [] };
    }
    case 'tick':
      // A picture that stands still is not shown as live.
      if (before.state !== 'live' || now - before.shownAt <= STALL_MS) return still;
      return { playing: { ...before, state: 'stalled', cause: 'stalled' }, todo: [] };
    case 'failed': {
      const failures = before.failures + 1;
      const ceiling = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS);
      const ms = ceiling * (0.5 + chance / 2);
      const playing: Playing = {
        ...before,
        state: 'offline',
        cause: happened.cause,
        failures,
        retryAt: now + ms,
      };
      return { playing, todo: [{ do: 'close' }, { do: 'wait', ms }] };
    }
    case 'due':
      return before.retryAt === null ? still : connect(before);
    case 'told':
      // No reason to wait.
      if (before.state !== 'offline' || before.retryAt === null) return still;
      return connect({ ...before, failures: 0 });
  }
}

/** What was said of a picture that is gone is said until there is another. */
function connect(before: Playing): { playing: Playing; todo: Todo[] } {
  const gone = before.state === 'offline' || before.state === 'stalled';
  const state = gone ? before.state : 'connecting';
  return { playing: { ...before, state, retryAt: null }, todo: [{ do: 'connect' }] };
}
