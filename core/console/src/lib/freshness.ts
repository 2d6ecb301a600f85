// How old the picture on screen is, and whether it is one of now or of the replay that a viewing begins
// with. Neither the clock on this machine's wall nor the camera's is asked: one may be set at any time, the
// other wrongly. What counts is how the pictures' RTP time goes on beside time itself, and which RTP time the
// router has sent by now. Without a browser or a clock of its own.

/** Ticks of RTP time in a millisecond of video. */
const TICKS = 90;
/** Pictures of a replay follow each other in their time by a millisecond each. A browser that decodes faster
 * than it shows leaves some out, so what it shows is further apart; still less than this. */
const REPLAY_STEP_MS = 12;
/** So many steps of a replay in a row are one; fewer are a camera's jitter. */
const REPLAY_STEPS = 3;
/** How far a camera's RTP clock may run beside this machine's: it counts as its drift, not as delay. */
const DRIFT = 0.001;
/** What is called late for so long although the router has nothing newer is on a new line of time. */
const NEW_LINE_MS = 5000;

export interface Shown {
  /** When it came on screen, in ms. */
  readonly at: number;
  /** How old it was then, in ms: at least so much. */
  readonly age: number;
  /** It is one of a replay, or the first one, of which that is not known yet. */
  readonly replayed: boolean;
}

export class Freshness {
  /** The newest picture on screen. */
  picture: Shown | null = null;
  #rtp: number | null = null;
  /** Its RTP time in ms since the first one. */
  #media = 0;
  /** Time minus RTP time, of what was as prompt as can be; null before there was anything. */
  #prompt: number | null = null;
  #promptAt = 0;
  /** Since when no picture was prompt, and the promptest since then. */
  #lateSince: number | null = null;
  #leastLate = 0;
  #quick = REPLAY_STEPS;

  /** A picture came on screen. `every` is how far the camera's pictures are apart in ms, if that is known.
   * False if it is the one that is there already. */
  shown(rtp: number, at: number, every: number | null): boolean {
    const step = this.#rtp === null ? null : this.#after(rtp);
    if (step === 0) return false;
    this.#rtp = rtp;
    this.#media += step ?? 0;
    if (step !== null) {
      const least = Math.min(REPLAY_STEP_MS, every === null ? Infinity : every / 2);
      this.#quick = step < least ? this.#quick + 1 : 0;
    }
    const replayed = this.#quick >= REPLAY_STEPS;
    const late = this.#late(at);
    this.#watch(late, at);
    this.picture = { at, age: Math.max(0, late), replayed };
    return true;
  }

  /** The router says up to which RTP time it has sent, and whether its camera is well: pictures come to it.
   * Whatever is shown is at least as old as that makes it. */
  sent(rtp: number, at: number, well: boolean): void {
    if (this.#rtp === null) return;
    const ahead = this.#after(rtp);
    this.#best(at - (this.#media + ahead), at);
    const since = this.#lateSince;
    // Late by what was known before, but as new as what the router has: a camera that was started anew.
    if (well && ahead <= 0 && since !== null && at - since >= NEW_LINE_MS) {
      this.#prompt = this.#leastLate;
      this.#promptAt = at;
      this.#lateSince = null;
    }
  }

  /** What is on screen came before the page was out of sight, or held: it says nothing of now. */
  unsee(): void {
    this.picture = null;
    this.#lateSince = null;
  }

  /** Another connection: its times are others. */
  forget(): void {
    this.picture = null;
    this.#rtp = null;
    this.#media = 0;
    this.#prompt = null;
    this.#lateSince = null;
    this.#quick = REPLAY_STEPS;
  }

  /** How far a time is after that of the newest picture, in ms: the difference of two 32-bit counters. */
  #after(rtp: number): number {
    return ((rtp - (this.#rtp ?? rtp)) | 0) / TICKS;
  }

  /** By how much what is shown now is later than it could be. */
  #late(at: number): number {
    this.#best(at - this.#media, at);
    return at - this.#media - (this.#prompt ?? 0);
  }

  #best(behind: number, at: number): void {
    const drifted = this.#prompt === null ? behind : this.#prompt + (at - this.#promptAt) * DRIFT;
    this.#prompt = Math.min(behind, drifted);
    this.#promptAt = at;
  }

  #watch(late: number, at: number): void {
    const behind = at - this.#media;
    if (late <= LATE_MS) this.#lateSince = null;
    else if (this.#lateSince === null) {
      this.#lateSince = at;
      this.#leastLate = behind;
    } else this.#leastLate = Math.min(this.#leastLate, behind);
  }
}

/** A picture that is older is not live. */
export const LATE_MS = 1000;
