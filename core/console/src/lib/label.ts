// What a picture is said to be: what follows from what is known of it. Without a browser, a network or a
// clock of its own. Live is said of nothing but a picture that was just shown, is of now and moves.

import { LATE_MS, type Shown } from './freshness';
import { isBroken, patience, type PlayState, type Told, why } from './playing';

export type Label =
  /** It moves, and is no older than a second. */
  | 'live'
  /** What happened since the newest key frame goes by quickly, up to now. */
  | 'catching'
  /** A picture is there, and is older than a second: it says how old. */
  | 'aged'
  /** It stands still. */
  | 'stalled'
  /** The camera or the router can not be had. */
  | 'offline'
  /** The first picture is waited for. */
  | 'connecting'
  /** The browser does not play, until somebody presses. */
  | 'paused'
  /** Nobody sees the page. */
  | 'hidden';

/** What is known. */
export interface Facts {
  /** How far the connection is, and why no further. */
  readonly state: PlayState;
  readonly cause: string | null;
  /** The newest picture of this connection; null before the first. */
  readonly picture: Shown | null;
  /** The browser refuses to play. */
  readonly paused: boolean;
  /** The page is in sight. */
  readonly seen: boolean;
  /** What the router says of the camera, and when it said so. */
  readonly told: Told | null;
  readonly toldAt: number;
}

export interface Said {
  readonly label: Label;
  /** Why, where there is something to say; the router's own cause is said before. */
  readonly cause: string | null;
  /** How old the picture is, in whole seconds, where that is said. */
  readonly seconds: number | null;
}

/** No picture for longer, and it is not live: a timer has to come in between, and a screen, before it is a
 * second. */
export const STILL_MS = 800;
/** A camera with pictures further apart is never live; it says how old they are. */
const SLOW_MS = 600;

export function labelOf(facts: Facts, now: number): Said {
  const { state, cause, picture, paused, seen, told } = facts;
  if (!seen) return say('hidden');
  const said = told && isBroken(told) ? told.state : null;
  const broken = said === 'offline' || said === 'stalled' ? say(said, cause) : null;
  if (state === 'offline') return broken ?? say('offline', cause);
  if (picture && !paused && now - picture.at <= patience(told)) return moving(facts, picture, now);
  if (broken) return broken;
  if (paused) return say('paused');
  if (picture || state === 'stalled') return say('stalled', why(told));
  return say('connecting', cause);
}

/** There are pictures, or there were until a moment ago. */
function moving({ told, toldAt }: Facts, picture: Shown, now: number): Said {
  const still = now - picture.at;
  // The router knows since when the camera has sent nothing, which matters where nothing new was shown since.
  const silent = told?.reachable ? told.pictureAge : null;
  const counts = silent !== null && (picture.replayed || picture.at <= toldAt);
  const age = Math.max(picture.age + still, counts ? silent + now - toldAt : 0);
  const slow = (told?.every ?? 0) > SLOW_MS;
  if (still > STILL_MS) return aged(age);
  if (picture.replayed) return say('catching');
  return slow || age > LATE_MS ? aged(age) : say('live');
}

/** When something else has to be said if nothing happens; null if that can wait for the next look. */
export function until(said: Said, picture: Shown | null): number | null {
  if (said.label !== 'live' || !picture) return null;
  return picture.at + Math.min(STILL_MS, LATE_MS - picture.age);
}

const say = (label: Label, cause: string | null = null): Said => ({ label, cause, seconds: null });
const aged = (age: number): Said => ({
  label: 'aged',
  cause: null,
  seconds: Math.max(1, Math.round(age / 1000)),
});
