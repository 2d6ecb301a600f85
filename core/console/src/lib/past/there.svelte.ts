// What there is in the past: what was recorded of some cameras, what is missing and why, and what happened.

import type { components } from '../api';
import { getJson } from '../ask';
import type { RouterEvent } from '../eventlist';
import { inTurn } from '../repeat';
import { endOf, startOf, windowFor, type Axis } from './axis';
import {
  at,
  nextStart,
  NOTHING,
  spansOf,
  union,
  type Gap,
  type GapReason,
  type Recorded,
  type Spans,
} from './spans';

type Answer = components['schemas']['Timelines'];
type Page = components['schemas']['EventPage'];
type Profile = 'main' | 'sub';

/** `unknown` is that it was not asked for, or is being written. */
export type Known = 'recorded' | 'elsewhere' | 'missing' | 'unknown';

/** What is being recorded is asked for anew so often. */
const NEWS_MS = 3000;
/** How often it is looked whether something else is to be seen. */
const LOOK_MS = 150;
const MOST_EVENTS = 500;
interface Loaded {
  from: number;
  to: number;
  span: number;
}

export class There {
  /** By camera, then by profile. */
  spans = $state.raw<Record<string, Record<Profile, Spans> | undefined>>({});
  events = $state.raw<RouterEvent[]>([]);
  /** Whether an answer has come at all. */
  known = $state(false);
  /** The last question had no answer. */
  failed = $state(false);

  #loaded: Loaded | null = null;
  #askedAt = 0;

  constructor(
    readonly commune: string,
    readonly cameras: readonly string[],
  ) {}

  start = (axis: () => Axis, now: () => number): (() => void) => {
    const load = inTurn(() => this.#load(axis(), now()));
    let busy = false;
    const look = (): void => {
      if (busy || !this.#isDue(axis(), now())) return;
      busy = true;
      void load().finally(() => (busy = false));
    };
    look();
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  };

  /** What was recorded in one profile or another. */
  recorded(camera: string): Recorded[] {
    const own = this.spans[camera];
    return own ? union(own.main.recorded, own.sub.recorded) : [];
  }

  /** What is missing: what is not there in any profile, with the reason of the full picture. */
  gaps(camera: string): Gap[] {
    const own = this.spans[camera];
    if (!own) return [];
    const other = own.main.recorded.length === 0 && own.sub.recorded.length > 0 ? own.sub : own.main;
    return other.gaps;
  }

  gapAt(camera: string, moment: number): Gap | undefined {
    return at(this.gaps(camera), moment);
  }

  at(camera: string, moment: number): Known {
    const own = this.spans[camera];
    if (!own || !this.knows(moment)) return 'unknown';
    const found = at(own.main.recorded, moment) ?? at(own.sub.recorded, moment);
    if (found) return found.elsewhere ? 'elsewhere' : 'recorded';
    // Of the last seconds nothing is known yet: they are being written.
    return this.gapAt(camera, moment) ? 'missing' : 'unknown';
  }

  /** Whether that moment was asked for. */
  knows(moment: number): boolean {
    return this.#loaded !== null && moment >= this.#loaded.from && moment < this.#loaded.to;
  }

  /** Which one is to be played. */
  profile(camera: string, moment: number, small: (camera: string) => boolean): Profile {
    const own = this.spans[camera];
    const [first, second]: Profile[] = small(camera) ? ['sub', 'main'] : ['main', 'sub'];
    if (!own || !first || !second) return first ?? 'main';
    if (at(own[first].recorded, moment)) return first;
    if (at(own[second].recorded, moment)) return second;
    // In between, as before: another profile begins anew.
    return own[first].recorded.length > 0 || own[second].recorded.length === 0 ? first : second;
  }

  /** When something of any of the cameras begins, after a moment. */
  next(moment: number): number | null {
    const starts = this.cameras.flatMap((camera) => nextStart(this.recorded(camera), moment) ?? []);
    return starts.length > 0 ? Math.min(...starts) : null;
  }

  #isDue(axis: Axis, now: number): boolean {
    const loaded = this.#loaded;
    if (!loaded) return performance.now() - this.#askedAt > 1000;
    const [from, to] = [startOf(axis), endOf(axis)];
    if (from < loaded.from || to > loaded.to || axis.span < loaded.span / 8) return true;
    return to > now - NEWS_MS && performance.now() - this.#askedAt > NEWS_MS;
  }

  async #load(axis: Axis, now: number): Promise<void> {
    this.#askedAt = performance.now();
    const { from, to } = windowFor(axis);
    // What has not come is not there, and needs no asking.
    const until = Math.min(to, Math.max(now, from + 1000));
    const range = `from=${Math.floor(from * 1000)}&to=${Math.ceil(until * 1000)}`;
    const root = `/api/v1/communes/${this.commune}`;
    const cameras = this.cameras.join(',');
    const camera = this.cameras.length === 1 ? `&camera=${cameras}` : '';
    const [main, sub, page] = await Promise.all([
      getJson<Answer>(`${root}/recordings?${range}&cameras=${cameras}&profile=main`),
      getJson<Answer>(`${root}/recordings?${range}&cameras=${cameras}&profile=sub`),
      getJson<Page>(`${root}/events?${range}${camera}&limit=${MOST_EVENTS}`),
    ]);
    this.failed = main === null;
    if (!main) return;
    const of = (answer: Answer | null, camera: string): Spans => {
      const own = answer?.cameras.find((one) => one.camera === camera);
      return own ? spansOf(own, main.now / 1000) : NOTHING;
    };
    this.spans = Object.fromEntries(
      this.cameras.map((camera) => [camera, { main: of(main, camera), sub: of(sub, camera) }]),
    );
    if (page)
      this.events = page.events.filter(({ camera }) => camera !== null && this.cameras.includes(camera));
    this.#loaded = { from, to, span: axis.span };
    this.known = true;
  }
}
