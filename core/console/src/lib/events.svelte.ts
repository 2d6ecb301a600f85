// What the events' pages show and do: the list, one event's story, silences.

/* eslint-disable svelte/prefer-svelte-reactivity -- Sets and maps are replaced, never changed. */

import type { components } from './api';
import { change, get, getJson, type Changed, type Refused } from './ask';
import {
  answeredBy,
  filtersOf,
  kept,
  matches,
  merged,
  moved,
  NO_FILTERS,
  searchOf,
  type AnswerWord,
  type EventAnswer,
  type Filters,
  type RouterEvent,
} from './eventlist';
import type { Follow, Told } from './follow.svelte';
import { overview } from './overview.svelte';
import { repeat } from './repeat';
import { isDue, isTelling, joined, type Story } from './story';

type Schemas = components['schemas'];
export type Silence = Schemas['Silence'];
type Answers = Schemas['AnswersView'];

/** Events of a page. */
const PAGE = 50;
/** Events that are kept at most; older ones are found by filters. */
export const MOST = 500;
/** Only the router searches words: it is asked again so long after something happened. */
const SEARCH_MS = 1000;
const SILENCES_MS = 30_000;
/** What is told of a delivery comes thick and fast: how it stands is asked for once in so long. */
const DELIVERIES_MS = 300;
/** Attempts that fail as those before are not told: they are asked for. */
const DUE_MS = 5000;

function path(commune: string, rest = ''): string {
  return `/api/v1/communes/${commune}/events${rest}`;
}

/** The router's clock, in microseconds since 1970, as it writes times. */
export function micros(): number {
  return Math.round((Date.now() + overview.ahead * 1000) * 1000);
}

/** The list of events. */
export class EventList {
  filters = $state.raw<Filters>(NO_FILTERS);
  /** Whether an answer has come at all. */
  known = $state(false);
  /** The page is asked for. */
  loading = $state(false);
  /** Where older ones go on. */
  next = $state<string | null>(null);
  /** The event that keys are about. */
  cursor = $state<string | null>(null);
  /** Events that are dealt with together. */
  chosen = $state.raw<ReadonlySet<string>>(new Set());
  /** Why the last thing was not done. */
  refused = $state.raw<Refused | null>(null);

  #list = $state.raw<RouterEvent[]>([]);
  /** Answers that the router has not confirmed yet. */
  #saying = $state.raw<ReadonlyMap<string, EventAnswer | null>>(new Map());
  /** What happened while a page was asked for. */
  #meanwhile: RouterEvent[] = [];
  #run = 0;
  #searching: ReturnType<typeof setTimeout> | undefined;

  events: RouterEvent[] = $derived(
    this.#list.map((event) => {
      const said = this.#saying.get(event.id);
      return said === undefined ? event : { ...event, answered: said };
    }),
  );
  full = $derived(this.#list.length >= MOST);

  constructor(readonly commune: string) {}

  start = (follow: Follow | undefined): (() => void) => {
    const stop = follow?.listen({ told: this.#told, anew: () => void this.load() });
    return () => {
      stop?.();
      clearTimeout(this.#searching);
    };
  };

  /** Shows what an address says. */
  show = (search: string): void => {
    this.filters = filtersOf(search);
    this.chosen = new Set();
    this.#list = [];
    this.next = null;
    this.known = false;
    void this.load();
  };

  /** Asks for as many as are shown. */
  load = async (): Promise<void> => {
    const run = (this.#run += 1);
    this.#meanwhile = [];
    this.loading = true;
    const limit = Math.max(PAGE, this.#list.length);
    const search = searchOf(this.filters, { limit });
    const page = await getJson<Schemas['EventPage']>(path(this.commune, search));
    if (run !== this.#run) return;
    this.loading = false;
    if (!page) return;
    const there = new Set(page.events.map(({ id }) => id));
    const meanwhile = this.#meanwhile.filter((event) =>
      this.filters.text ? there.has(event.id) : this.#wanted(event),
    );
    this.next = page.next;
    this.#put(merged(page.events, meanwhile, MOST));
    // Keys are about the newest, until somebody moves.
    if (!this.known) this.cursor = this.#list[0]?.id ?? null;
    this.known = true;
  };

  /** Older ones too. */
  more = async (): Promise<void> => {
    const before = this.next;
    if (before === null || this.loading || this.full) return;
    const run = this.#run;
    this.loading = true;
    const search = searchOf(this.filters, { limit: PAGE, before });
    const page = await getJson<Schemas['EventPage']>(path(this.commune, search));
    if (run !== this.#run) return;
    this.loading = false;
    if (!page) return;
    this.next = page.next;
    this.#put(merged(this.#list, page.events, MOST));
  };

  move = (step: number): void => {
    const ids = this.events.map(({ id }) => id);
    this.set(moved(ids, this.cursor, step));
  };

  /** The cursor is at an event. What was dealt with and is not wanted any more stays under it, so that
   * it can be taken back, and goes when the cursor does. */
  set = (event: string | null): void => {
    if (event === this.cursor) return;
    this.cursor = event;
    const list = this.#list.filter((event) => this.#stays(event));
    if (list.length < this.#list.length) this.#put(list);
  };

  choose = (event: string): void => {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(event)) chosen.add(event);
    this.chosen = chosen;
  };

  chooseAll = (): void => {
    this.chosen = new Set(this.events.map(({ id }) => id));
  };

  chooseNone = (): void => {
    this.chosen = new Set();
    this.#put(this.#list.filter((event) => this.#stays(event)));
  };

  /** What a key is about: the chosen ones, else the one at the cursor. */
  about = (): string[] => {
    if (this.chosen.size > 0) return [...this.chosen];
    return this.cursor === null ? [] : [this.cursor];
  };

  answer = async (events: string[], answer: AnswerWord, who: string): Promise<void> => {
    const said = answeredBy(answer, who, micros());
    this.#saying = new Map([...this.#saying, ...events.map((id) => [id, said] as const)]);
    this.refused = null;
    const [only] = events;
    if (events.length === 1 && only !== undefined) {
      const changed = await change<Told>('POST', path(this.commune, `/${only}/answer`), { who, answer });
      if ('is' in changed) this.#told(changed.is);
      else this.refused = changed.refused;
    } else {
      const body = { who, answer, events };
      const changed = await change<Answers>('POST', path(this.commune, '/answers'), body);
      if ('is' in changed) {
        const done = new Set(changed.is.answered);
        this.#list = this.#list
          .filter(({ id }) => !changed.is.unknown.includes(id))
          .map((event) => (done.has(event.id) ? { ...event, answered: said } : event));
        this.chooseNone();
      } else this.refused = changed.refused;
    }
    // Whatever came of it: from now on as the router says.
    this.#saying = new Map([...this.#saying].filter(([id]) => !events.includes(id)));
  };

  #wanted(event: RouterEvent): boolean {
    return matches(event, this.filters);
  }

  #stays(event: RouterEvent): boolean {
    return this.#wanted(event) || event.id === this.cursor || this.chosen.has(event.id);
  }

  #put(list: RouterEvent[]): void {
    const [before, now] = [this.#list, list].map((list) => list.map(({ id }) => id));
    // What fell off at the end is found again from there.
    if (list.length >= MOST) this.next = list.at(-1)?.id ?? null;
    this.#list = list;
    this.cursor = kept(before ?? [], now ?? [], this.cursor);
    const there = new Set(now);
    const chosen = [...this.chosen].filter((id) => there.has(id));
    if (chosen.length < this.chosen.size) this.chosen = new Set(chosen);
  }

  #told = (told: Told): void => {
    const { event } = told;
    const there = this.#list.some(({ id }) => id === event.id);
    if (this.loading) this.#meanwhile.push(event);
    if (this.filters.text && !there) {
      this.#searching ??= setTimeout(() => {
        this.#searching = undefined;
        void this.load();
      }, SEARCH_MS);
      return;
    }
    if (there ? this.#stays(event) : this.#wanted(event)) {
      this.#put(merged(this.#list, [event], MOST));
    } else if (there) this.#put(this.#list.filter(({ id }) => id !== event.id));
  };
}

/** One event and its story. */
export class OneEvent {
  story = $state.raw<Story | null>(null);
  /** There is no such event. */
  gone = $state(false);
  /** Why the last thing was not done. */
  refused = $state.raw<Refused | null>(null);

  #asking: ReturnType<typeof setTimeout> | undefined;
  /** What was told before there was a story: the answer that is on its way may be older. */
  #early: Told[] = [];

  constructor(
    readonly commune: string,
    readonly id: string,
  ) {}

  start = (follow: Follow | undefined): (() => void) => {
    void this.load();
    const deaf = follow?.listen({ told: this.#told, anew: () => void this.load() });
    const due = setInterval(() => {
      if (isDue(this.story?.deliveries ?? [], micros())) void this.load();
    }, DUE_MS);
    return () => {
      deaf?.();
      clearInterval(due);
      clearTimeout(this.#asking);
      this.#asking = undefined;
    };
  };

  load = async (): Promise<void> => {
    const response = await get(path(this.commune, `/${this.id}`));
    if (response?.status === 404) this.gone = true;
    // Without an answer nothing is known; the banner says that.
    if (response?.ok) this.#put((await response.json()) as Story);
  };

  answer = (answer: AnswerWord, who: string): Promise<boolean> => {
    const before = this.story;
    if (before) {
      const answered = answeredBy(answer, who, micros());
      this.story = { ...before, event: { ...before.event, answered } };
    }
    return this.#change('answer', { who, answer }, before);
  };

  comment = (text: string, who: string): Promise<boolean> => this.#change('comments', { who, text });

  assign = (to: string | null, who: string): Promise<boolean> => this.#change('assignment', { who, to });

  /** Has a delivery that was given up tried once more. */
  retry = async (delivery: number, who: string): Promise<void> => {
    this.refused = null;
    const changed = await change('POST', `/api/v1/communes/${this.commune}/deliveries/${delivery}/retry`, {
      who,
    });
    if ('refused' in changed) this.refused = changed.refused;
    await this.load();
  };

  async #change(what: string, body: object, before: Story | null = null): Promise<boolean> {
    this.refused = null;
    const changed = await change<Told>('POST', path(this.commune, `/${this.id}/${what}`), body);
    if ('is' in changed) {
      this.#told(changed.is);
      return true;
    }
    this.refused = changed.refused;
    if (before) this.story = before;
    void this.load();
    return false;
  }

  #put(story: Story): void {
    const before = this.story;
    if (before && story.event.revision < before.event.revision) return;
    this.story = before ? { ...story, log: joined(before.log, story.log) } : story;
    this.gone = false;
    this.#early.splice(0).forEach(this.#told);
  }

  #told = (told: Told): void => {
    if (told.event.id !== this.id) return;
    if (!this.story) {
      this.#early = [...this.#early, told].slice(-MOST);
      return;
    }
    const { event, log, deliveries } = this.story;
    const older = told.event.revision < event.revision;
    this.story = { event: older ? event : told.event, log: joined(log, [told.entry]), deliveries };
    if (!isTelling(told.entry)) return;
    this.#asking ??= setTimeout(() => {
      this.#asking = undefined;
      void this.load();
    }, DELIVERIES_MS);
  };
}

/** What nobody wants to be told of. */
export class Silences {
  list = $state.raw<Silence[]>([]);
  refused = $state.raw<Refused | null>(null);

  constructor(readonly commune: string) {}

  start = (): (() => void) => repeat(this.load, SILENCES_MS);

  load = async (): Promise<void> => {
    const list = await getJson<Silence[]>(this.#path());
    if (list) this.list = list;
  };

  make = async (silence: Schemas['SilenceBody']): Promise<boolean> => {
    const made = await change<Silence>('POST', this.#path(), silence);
    return this.#changed(made);
  };

  end = async (number: number): Promise<boolean> => {
    return this.#changed(await change<null>('DELETE', this.#path(`/${number}`)));
  };

  async #changed(changed: Changed<unknown>): Promise<boolean> {
    this.refused = 'refused' in changed ? changed.refused : null;
    await this.load();
    return this.refused === null;
  }

  #path(rest = ''): string {
    return `/api/v1/communes/${this.commune}/silences${rest}`;
  }
}
