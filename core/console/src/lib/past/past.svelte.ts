// What is seen of the past: of which cameras, which moment, how fast. The clock of all pictures; what there is
// is asked for in `there.svelte.ts`.

import { overview } from '../overview.svelte';
import { endOf, stepped, type Axis } from './axis';
import { changed, faster, momentAt, slower, type PastClock } from './clock';
import type { Act } from './keys';
import type { Reel } from './reel.svelte';
import { There } from './there.svelte';

/** What is recorded can be fetched so long after it happened, in ms. */
const BEHIND = 3500;
/** A disk that is busy is so far behind at most, in ms. */
const CAUGHT_UP = 15_000;
/** A picture that does not come holds the others for so long. */
const PATIENCE = 2500;
/** What the router has to fetch first is waited for so long. */
const FETCHED = 30_000;
/** So long it is said what is missing, before it goes on with what was recorded next. */
const SAID = 1800;
/** From a picture to the next where they are not known, in ms. */
const UNKNOWN_STEP = 40;
/** How often what is shown of the clock follows it. */
const SHOWN_MS = 80;
/** The same while it is now that is seen. */
const LIVE_MS = 250;

export class Past {
  /** The router's clock, in ms since 1970. */
  static now = (): number => Date.now() + overview.ahead * 1000;

  /** It is now that is seen. */
  live = $state(true);
  moment = $state(Past.now());
  playing = $state(false);
  speed = $state(1);
  span = $state(10 * 60_000);
  /** An interval is chosen, to be exported or held. */
  cut = $state.raw<{ from: number; to: number } | null>(null);
  there: There;

  #clock: PastClock = { moment: Past.now(), since: 0, speed: 1, playing: false };
  /** Nothing that is shown follows from who is there. */
  // eslint-disable-next-line svelte/prefer-svelte-reactivity
  #reels = new Map<string, Reel>();
  #waits: number | null = null;
  #missing: number | null = null;
  #told = 0;
  /** What is to be seen, since the last time that was looked at. */
  #at = this.#clock.moment;
  #frame = 0;
  #dragging = false;

  constructor(
    readonly commune: string,
    readonly cameras: string[],
    /** Whether the small picture is enough for a camera. */
    private readonly small: (camera: string) => boolean,
  ) {
    this.there = new There(commune, cameras);
  }

  /** The newest moment that can be had. */
  get edge(): number {
    return Past.now() - BEHIND;
  }

  start = (): (() => void) => {
    this.#frame = requestAnimationFrame(this.#tick);
    const stop = this.there.start(() => this.axis(1), Past.now);
    return () => {
      cancelAnimationFrame(this.#frame);
      stop();
    };
  };

  axis = (width: number): Axis => ({ moment: this.moment, span: this.span, width });

  add = (reel: Reel): (() => void) => {
    this.#reels.set(reel.camera, reel);
    return () => this.#reels.delete(reel.camera);
  };

  /** Shows a moment. What has not come yet is now. */
  goTo = (moment: number, playing = this.playing): void => {
    if (moment >= this.edge) {
      this.toLive();
      return;
    }
    this.#set({ moment, playing });
    this.live = false;
  };

  toLive = (): void => {
    this.live = true;
    this.#set({ moment: Past.now(), playing: false, speed: 1 });
  };

  /** While the line is dragged, pictures follow and the clock stands. */
  drag = (dragging: boolean): void => {
    if (dragging === this.#dragging) return;
    this.#dragging = dragging;
    this.#set({ moment: this.moment });
  };

  act = (act: Act): void => {
    switch (act.act) {
      case 'toggle':
        if (this.live) this.goTo(this.edge - 1, false);
        else this.#set({ playing: !this.playing });
        break;
      case 'pause':
        if (this.live) this.goTo(this.edge - 1, false);
        else this.#set({ playing: false });
        break;
      case 'faster':
        if (!this.live) this.#set({ speed: this.playing ? faster(this.speed) : this.speed, playing: true });
        break;
      case 'slower':
        if (this.live) this.goTo(this.edge - 1000, true);
        this.#set({ speed: slower(this.speed), playing: true });
        break;
      case 'live':
        this.toLive();
        break;
      case 'move':
        if (this.live) {
          if (act.by < 0) this.goTo(this.edge + act.by, true);
        } else this.goTo(Math.min(this.moment + act.by, act.by > 0 ? Infinity : this.edge - 1));
        break;
      case 'step':
        this.#step(act.by);
        break;
      case 'near':
      case 'far':
        this.span = stepped(this.span, act.act === 'far');
        break;
      case 'cut':
        this.cut = this.cut ? null : this.interval();
    }
  };

  setSpeed = (speed: number): void => this.#set({ speed });

  /** Around the moment, as far as it has come: what is likely to be wanted. */
  interval(): { from: number; to: number } {
    const half = Math.min(30_000, endOf(this.axis(1)) - this.moment);
    // In whole seconds: they are read aloud and written down.
    const to = Math.floor(Math.min(this.moment + half, this.edge) / 1000) * 1000;
    return { from: Math.ceil((to - 2 * half) / 1000) * 1000, to };
  }

  #step(by: 1 | -1): void {
    const moment = this.live ? this.edge - 1 : momentAt(this.#clock, performance.now());
    const found = [...this.#reels.values()].flatMap((reel) => reel.beside(moment, by) ?? []);
    // What is not fetched yet is found by going there.
    if (found.length === 0) found.push(moment + by * UNKNOWN_STEP);
    this.goTo(by > 0 ? Math.min(...found) : Math.max(...found), false);
  }

  #set(change: Partial<Omit<PastClock, 'since'>>): void {
    this.#clock = changed(this.#clock, performance.now(), change);
    this.#at = this.#clock.moment;
    this.moment = this.#at;
    this.playing = this.#clock.playing;
    this.speed = this.#clock.speed;
    this.#missing = null;
  }

  #tick = (): void => {
    this.#frame = requestAnimationFrame(this.#tick);
    const now = performance.now();
    if (this.live) {
      // The line moves on, no faster than it is seen.
      if (now - this.#told < LIVE_MS || this.#dragging) return;
      this.#told = now;
      this.moment = Past.now();
      return;
    }
    const moment = this.#run(now);
    const { speed } = this.#clock;
    const playing = this.#clock.playing && !this.#dragging && this.#missing === null;
    for (const reel of this.#reels.values()) {
      const known = this.there.at(reel.camera, moment);
      reel.wanted = known !== 'missing';
      reel.aim({ moment, speed, playing, profile: this.there.profile(reel.camera, moment, this.small) });
    }
  };

  /** Lets the clock go on, or not. Returns the moment that is to be seen. */
  #run(now: number): number {
    if (!this.#clock.playing || this.#dragging) return this.#hold(now);
    const moment = momentAt(this.#clock, now);
    if (this.#isMissing(moment)) {
      this.#missing ??= now;
      if (now - this.#missing > SAID) this.#skip(moment);
      return this.#hold(now);
    }
    this.#missing = null;
    if (this.#waitsFor(now)) {
      // Who has to wait close to now has caught up with what is being recorded.
      if (this.#clock.speed > 1 && moment > Past.now() - CAUGHT_UP) this.#set({ moment: this.#at, speed: 1 });
      return this.#hold(now);
    }
    if (moment > this.edge) {
      // It is recorded as it happens: no faster than that.
      this.#set({ moment: this.edge, speed: Math.min(1, this.#clock.speed) });
    }
    this.#at = momentAt(this.#clock, now);
    if (now - this.#told > SHOWN_MS) {
      this.#told = now;
      this.moment = this.#at;
    }
    return this.#at;
  }

  /** Time goes on and the moment does not. */
  #hold(now: number): number {
    this.#clock = { ...this.#clock, moment: this.#at, since: now };
    return this.#at;
  }

  #isMissing(moment: number): boolean {
    return this.cameras.every((camera) => this.there.at(camera, moment) === 'missing');
  }

  /** Whether a picture has to come first. One that does not come is waited for only so long. */
  #waitsFor(now: number): boolean {
    const waits = [...this.#reels.values()].some((reel) => !reel.ready);
    if (!waits) this.#waits = null;
    else this.#waits ??= now;
    const far = this.cameras.some((camera) => this.there.at(camera, this.#at) === 'elsewhere');
    return this.#waits !== null && now - this.#waits < (far ? FETCHED : PATIENCE);
  }

  /** Goes on with what was recorded next. */
  #skip(moment: number): void {
    const next = this.there.next(moment);
    if (next !== null && next < this.edge) this.#set({ moment: next });
    else if (next === null && this.there.knows(moment)) this.#set({ playing: false, speed: 1 });
  }
}
