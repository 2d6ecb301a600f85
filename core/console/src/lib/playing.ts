// Whether one picture comes, and what is done when it does not: a machine without a browser, a network
// or a clock of its own. `player.svelte.ts` tells it what happens and does what it says. What is said of the
// picture on screen is decided in `label.ts`.

import type { components } from './api';

export type PlayState = 'connecting' | 'playing' | 'stalled' | 'offline';

/** What the router says of a camera's profile, or that it says nothing. */
export interface Told {
  readonly reachable: boolean;
  readonly state: components['schemas']['ProfileView']['state'] | null;
  /** How long ago it got its newest picture, in ms; null if it has none, or does not say. */
  readonly pictureAge: number | null;
  /** How far the camera's pictures are apart, in ms; null as long as that is not known. */
  readonly every: number | null;
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
  /** When the last attempt began. */
  readonly begunAt: number;
  /** Pictures are shown if they come: somebody sees the page, and the browser plays. */
  readonly watched: boolean;
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
  /** From now on pictures are shown if they come, or are not. */
  | { is: 'watched'; watched: boolean }
  /** The machine slept, or the page was held: whatever was known is of before. */
  | { is: 'woke' }
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
/** The router sends, and nothing is shown: another session is tried after so long, later ones after more. */
export const GIVE_UP_MS = 6000;
const LONGEST_GIVE_UP_MS = 60_000;
/** A camera stands still when so many of its pictures are missing, or one for so long. */
const MISSING = 2.5;
const LONGEST_PATIENCE_MS = 10_000;

export const BEGINNING: Playing = {
  state: 'connecting',
  cause: null,
  retryAt: null,
  failures: 0,
  shownAt: 0,
  begunAt: 0,
  watched: true,
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
      return connect(before, now);
    case 'shown': {
      const plays = { state: 'playing', cause: null, failures: 0 } as const;
      return { playing: { ...before, ...plays, shownAt: now }, todo: [] };
    }
    case 'tick':
      // Where nobody looks a browser shows nothing, which says nothing of the connection.
      if (before.state !== 'playing' || !before.watched) return still;
      if (now - before.shownAt <= patience(before.told)) return still;
      return { playing: stalled(before), todo: [] };
    case 'watched':
      // Only now a picture is missed.
      return { playing: { ...before, watched: happened.watched, shownAt: now }, todo: [] };
    case 'woke':
      if (before.state === 'offline' && before.retryAt !== null) return connect(before, now);
      if (before.state === 'connecting') return still;
      return { playing: stalled(before), todo: [{ do: 'ask' }] };
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
      return before.retryAt === null ? still : connect(before, now);
    case 'silent':
      return { playing: { ...before, silent: happened.silent }, todo: [] };
    case 'told':
      return told(before, happened.told, now);
    case 'forgotten':
      return before.state === 'stalled' ? connect(before, now) : still;
  }
}

/** The router often knows before the browser does. */
function told(before: Playing, word: Told, now: number): Step {
  const former = before.told;
  let playing: Playing = { ...before, told: word };
  const back = word.reachable && former?.reachable === false;
  const live = word.state === 'live' && former?.state !== 'live';
  // Once for each time: what the router says again and again is no reason to hurry again.
  if (before.state === 'offline' && before.retryAt !== null && former && word.reachable && (back || live)) {
    return connect({ ...playing, failures: 0 }, now);
  }
  if (before.state === 'stalled') playing = { ...playing, cause: why(word) };
  const still: Step = { playing, todo: [] };
  // Where the camera sends nothing, there is nothing to be had from another session.
  if (!word.reachable || isBroken(word)) return still;
  // The router answers, the camera is well, and nothing comes: the session is one of a router that is
  // gone, or its way is.
  if (before.silent && before.state !== 'playing' && before.retryAt === null) return connect(playing, now);
  if (before.state !== 'stalled' || !before.watched) return still;
  const waited = now - Math.max(before.shownAt, before.begunAt);
  const patient = Math.min(GIVE_UP_MS * 2 ** before.failures, LONGEST_GIVE_UP_MS);
  if (word.state === 'live' && waited > patient) {
    return connect({ ...playing, failures: before.failures + 1 }, now);
  }
  return { playing, todo: [{ do: 'ask' }] };
}

function stalled(before: Playing): Playing {
  return { ...before, state: 'stalled', cause: why(before.told) };
}

/** Why a picture stands still. */
export function why(told: Told | null): string {
  return told?.reachable === false ? 'router' : 'stalled';
}

/** Whether the router has no picture of the camera itself. What it said before it fell silent tells
 * nothing. */
export function isBroken(told: Told): boolean {
  return told.reachable && (told.state === 'offline' || told.state === 'stalled');
}

/** How long a picture may stand before it stands still, in ms. */
export function patience(told: Told | null): number {
  return Math.max(STALL_MS, Math.min((told?.every ?? 0) * MISSING, LONGEST_PATIENCE_MS));
}

/** What was said of a picture that is gone is said until there is another. */
function connect(before: Playing, now: number): Step {
  const gone = before.state === 'offline' || before.state === 'stalled';
  const state = gone ? before.state : 'connecting';
  const playing: Playing = { ...before, state, retryAt: null, silent: false, begunAt: now };
  return { playing, todo: [{ do: 'connect' }] };
}
