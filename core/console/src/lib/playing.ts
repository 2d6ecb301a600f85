// Whether one picture plays, and what is done when it does not: a machine without a browser, a network
// or a clock of its own. `player.svelte.ts` tells it what happens and does what it says.

import type { components } from './api';

export type PlayState = 'connecting' | 'live' | 'stalled' | 'offline';

/** What the router says of a camera's profile, or that it says nothing. */
export interface Told {
  readonly reachable: boolean;
  readonly state: components['schemas']['ProfileView']['state'] | null;
}

export interface Playing {
  readonly state: PlayState;
  readonly cause: string | null;
  /** When the next attempt is made; null while one is under way or pictures come. */
  readonly retryAt: number | null;
  /** Attempts that failed since the last picture. */
  readonly failures: number;
  /** When the last picture was shown. */
  readonly shownAt: number;
  /** Nothing has come from the router for seconds, not even an answer to what the browser asks on the
   * picture's way. The browser waits half a minute more before it gives the connection up. */
  readonly silent: boolean;
  readonly told: Told | null;
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
  /** The browser hears nothing more from the router on the picture's way, or hears it again. */
  | { is: 'silent'; silent: boolean }
  /** The router was asked for what it knows, which is every two seconds. */
  | { is: 'told'; told: Told }
  /** The router does not know the session. */
  | { is: 'forgotten' };

export type Todo =
  /** End what there is and connect anew. */
  | { do: 'connect' }
  /** End what there is. */
  | { do: 'close' }
  /** Say `due` then; no earlier wish for it holds. */
  | { do: 'wait'; ms: number }
  /** Ask the router whether it knows the session; say `forgotten` if not. */
  | { do: 'ask' };

export const STALL_MS = 1500;
export const FIRST_RETRY_MS = 1000;
export const LONGEST_RETRY_MS = 15_000;

export const BEGINNING: Playing = {
  state: 'connecting',
  cause: null,
  retryAt: null,
  failures: 0,
  shownAt: 0,
  silent: false,
  told: null,
};

interface Step {
  playing: Playing;
  todo: Todo[];
}

/** What has become of it, and what is to be done. `now` is in ms, `chance` from 0 to 1. */
export function after(before: Playing, happened: Happened, now: number, chance: number): Step {
  const still: Step = { playing: before, todo: [] };
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
      return { playing: { ...before, state: 'stalled', cause: why(before.told) }, todo: [] };
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
    case 'silent':
      return { playing: { ...before, silent: happened.silent }, todo: [] };
    case 'told':
      return told(before, happened.told);
    case 'forgotten':
      return before.state === 'stalled' ? connect(before) : still;
  }
}

/** The router often knows before the browser does. */
function told(before: Playing, now: Told): Step {
  const former = before.told;
  let playing: Playing = { ...before, told: now };
  const back = now.reachable && former?.reachable === false;
  const live = now.state === 'live' && former?.state !== 'live';
  // Once for each time: what the router says again and again is no reason to hurry again.
  if (before.state === 'offline' && before.retryAt !== null && former && now.reachable && (back || live)) {
    return connect({ ...playing, failures: 0 });
  }
  if (before.state === 'stalled') playing = { ...playing, cause: why(now) };
  const still: Step = { playing, todo: [] };
  // Where the camera sends nothing, there is nothing to be had from another session.
  if (!now.reachable || isBroken(now)) return still;
  // The router answers, the camera is well, and nothing comes: the session is one of a router that is
  // gone, or its way is.
  if (before.silent && before.state !== 'live' && before.retryAt === null) return connect(playing);
  return before.state === 'stalled' ? { playing, todo: [{ do: 'ask' }] } : still;
}

/** Why a picture stands still. */
function why(told: Told | null): string {
  return told?.reachable === false ? 'router' : 'stalled';
}

/** Whether the router has no picture of the camera itself. What it said before it fell silent tells
 * nothing. */
export function isBroken(told: Told): boolean {
  return told.reachable && (told.state === 'offline' || told.state === 'stalled');
}

/** What a picture is said to be: what the router knows of its camera counts more than what a page
 * without a picture sees. */
export function shownAs(state: PlayState, told: Told): PlayState {
  if (state === 'live' || !told.reachable) return state;
  return told.state === 'offline' || told.state === 'stalled' ? told.state : state;
}

/** What was said of a picture that is gone is said until there is another. */
function connect(before: Playing): Step {
  const gone = before.state === 'offline' || before.state === 'stalled';
  const state = gone ? before.state : 'connecting';
  return { playing: { ...before, state, retryAt: null, silent: false }, todo: [{ do: 'connect' }] };
}
