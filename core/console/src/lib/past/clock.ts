// One clock for all pictures: which moment is to be seen now. Pure; `now` is any clock that never goes back,
// in milliseconds.

export const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16] as const;

export interface PastClock {
  /** This moment … */
  moment: number;
  /** … was to be seen then. */
  since: number;
  speed: number;
  playing: boolean;
}

export function momentAt(clock: PastClock, now: number): number {
  return clock.playing ? clock.moment + (now - clock.since) * clock.speed : clock.moment;
}

/** The same moment, from now on otherwise. */
export function changed(clock: PastClock, now: number, change: Partial<Omit<PastClock, 'since'>>): PastClock {
  return { ...clock, moment: momentAt(clock, now), ...change, since: now };
}

export function faster(speed: number): number {
  return SPEEDS.find((one) => one > speed) ?? speed;
}

export function slower(speed: number): number {
  return SPEEDS.findLast((one) => one < speed) ?? speed;
}

/** A picture that is so far off is fetched anew, in ms of real time. */
const FAR = 350;
/** Closer than this is in step, in ms. */
const CLOSE = 6;
/** A difference is made up within so long, in ms. */
const WITHIN = 600;
/** More than this is seen, and heard. */
const MOST = 0.2;

export type Steer = { seek: true } | { seek: false; rate: number };

/** What a picture does so that it is where the clock is. */
export function steer(wanted: number, shown: number, speed: number): Steer {
  const behind = (wanted - shown) / speed;
  if (Math.abs(behind) > FAR) return { seek: true };
  if (Math.abs(behind) < CLOSE) return { seek: false, rate: speed };
  const change = Math.min(MOST, Math.max(-MOST, behind / WITHIN));
  return { seek: false, rate: speed * (1 + change) };
}
