// A commune's events as they happen: what stands out now, and every change to whoever listens.

import type { components } from './api';
import { getJson } from './ask';
import { merged, standsOut, type RouterEvent } from './eventlist';

type Page = components['schemas']['EventPage'];
type Standing = components['schemas']['Standing'];
export type Told = components['schemas']['Told'];

export interface Listener {
  /** Something happened. */
  told?: (told: Told) => void;
  /** Something may have happened that was not told: what is shown is asked for anew. */
  anew?: () => void;
}

/** Events that stand out are kept so many at most: there are as many marks as cameras. */
const MOST = 500;
/** How often it is asked where nothing is told. */
const POLL_MS = 5000;
/** Events that come thick and fast are counted once in so long. */
const COUNT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export class Follow {
  /** Open, unanswered, a warning at least. */
  standing = $state.raw<RouterEvent[]>([]);
  /** How many deserve a look and have no answer; null while that is not known. */
  unanswered = $state<number | null>(null);
  /** Whether changes are told as they happen. */
  live = $state(false);

  #listeners: Listener[] = [];
  #source: EventSource | null = null;
  /** Another one with each beginning: what is late belongs to none. */
  #run = 0;
  #seq = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #counting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly commune: string,
    /** Called with every event that is seen, however it came. */
    private readonly seen: (event: RouterEvent) => void = () => undefined,
  ) {}

  listen = (listener: Listener): (() => void) => {
    this.#listeners.push(listener);
    return () => {
      this.#listeners = this.#listeners.filter((one) => one !== listener);
    };
  };

  /** Follows until the returned function is called: told by the router, or asking it now and then (a
   * browser has six connections to a router, and pictures, answers and other communes want some). */
  start = (told: boolean): (() => void) => {
    void this.#begin(told);
    return () => this.#end();
  };

  /** As if it began now: what was connected may be no more. */
  again = (): void => {
    if (this.#source) void this.#begin(true);
  };

  #end(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#counting);
    this.#counting = undefined;
    this.#source?.close();
    this.#source = null;
    this.live = false;
  }

  #path(rest: string): string {
    return `/api/v1/communes/${this.commune}/events${rest}`;
  }

  async #begin(told: boolean): Promise<void> {
    this.#end();
    const run = this.#run;
    const page = await this.#load();
    if (run !== this.#run) return;
    if (!page) {
      this.#later(() => this.#begin(told), this.#wait());
      return;
    }
    this.#seq = page.seq;
    if (told) this.#connect(page.seq);
    else this.#later(() => this.#begin(false), POLL_MS);
  }

  #later(what: () => Promise<void>, ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void what(), ms);
  }

  /** Longer with every failure, and not the same for all pages that lost their router. */
  #wait(): number {
    const longest = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** this.#failures);
    this.#failures += 1;
    return longest * (0.5 + Math.random() / 2);
  }

  async #load(): Promise<Page | null> {
    const run = this.#run;
    const page = await getJson<Page>(this.#path('?severity=warning&state=open&limit=500'));
    if (run !== this.#run || !page) return null;
    this.standing = page.events.filter(standsOut);
    for (const event of page.events) this.seen(event);
    for (const listener of this.#listeners) listener.anew?.();
    await this.#count();
    return page;
  }

  #connect(after: number): void {
    const source = new EventSource(this.#path(`/live?after=${after}`));
    let lost = false;
    source.onopen = () => {
      this.live = true;
      this.#failures = 0;
      if (lost) void this.#back();
      lost = false;
    };
    source.onerror = () => {
      this.live = false;
      lost = true;
      // It connects again by itself, unless the router said that there is nothing.
      if (source.readyState === EventSource.CLOSED) this.#later(() => this.#begin(true), this.#wait());
    };
    source.onmessage = (message) => this.#take(JSON.parse(message.data as string) as Told);
    this.#source = source;
  }

  /** Connected again. What was missed is told; but a router whose events are other ones counts anew. */
  async #back(): Promise<void> {
    const run = this.#run;
    const page = await this.#load();
    if (run === this.#run && page && page.seq < this.#seq) void this.#begin(true);
  }

  #take(told: Told): void {
    if (told.entry.seq <= this.#seq) return;
    this.#seq = told.entry.seq;
    const { event } = told;
    const stands = standsOut(event) && event.ended === null;
    if (stands) this.standing = merged(this.standing, [event], MOST);
    else if (this.standing.some(({ id }) => id === event.id)) {
      this.standing = this.standing.filter(({ id }) => id !== event.id);
    }
    this.seen(event);
    for (const listener of this.#listeners) listener.told?.(told);
    this.#counting ??= setTimeout(() => {
      this.#counting = undefined;
      void this.#count();
    }, COUNT_MS);
  }

  async #count(): Promise<void> {
    const run = this.#run;
    const standing = await getJson<Standing>(this.#path('/standing'));
    if (standing && run === this.#run) this.unanswered = standing.unanswered;
  }
}
