// Who can be told in a commune, how it stands with each, and what could not be told.

import type { components } from './api';
import { change, getJson, type Refused } from './ask';
import { OneEvent } from './events.svelte';
import type { Follow, Told } from './follow.svelte';
import { inTurn, repeat } from './repeat';
import { isTelling, type Delivery } from './story';
import type { TargetsView } from './whynot';

export type Target = components['schemas']['TargetView'];

const POLL_MS = 10_000;
/** After something was told, how it stands is asked for once in so long. */
const TOLD_MS = 500;
/** The router's page. */
export const PAGE = 100;

function path(commune: string, rest: string): string {
  return `/api/v1/communes/${commune}/${rest}`;
}

/** Who can be told; null if the router does not say. */
export function targetsOf(commune: string): Promise<TargetsView | null> {
  return getJson<TargetsView>(path(commune, 'targets'));
}

function failedOf(commune: string): Promise<Delivery[] | null> {
  return getJson<Delivery[]>(path(commune, 'deliveries?state=failed'));
}

/** Events of which somebody could not be told: of the newest messages that were given up. */
export class Undelivered {
  events = $state.raw<readonly string[]>([]);
  #asking: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly commune: string) {}

  start = (follow: Follow | undefined): (() => void) => {
    void this.#load();
    const told = ({ entry }: Told): void => {
      if (!['undelivered', 'retried'].includes(entry.what)) return;
      this.#asking ??= setTimeout(() => {
        this.#asking = undefined;
        void this.#load();
      }, TOLD_MS);
    };
    const deaf = follow?.listen({ told, anew: () => void this.#load() });
    return () => {
      deaf?.();
      clearTimeout(this.#asking);
      this.#asking = undefined;
    };
  };

  #load = inTurn(async (): Promise<void> => {
    const failed = await failedOf(this.commune);
    if (failed) this.events = failed.flatMap(({ events }) => events);
  });
}

export class Targets {
  /** Null until an answer has come. */
  view = $state.raw<TargetsView | null>(null);
  /** What was given up, the newest first; the newest page of it. */
  failed = $state.raw<Delivery[]>([]);
  /** Messages that somebody sends to try a target, by its name: the newest of each. */
  tests = $state.raw<Record<string, OneEvent>>({});
  /** What is under way: the names of targets, the numbers of deliveries. */
  busy = $state.raw<(string | number)[]>([]);
  /** Why the last thing was not done. */
  refused = $state.raw<Refused | null>(null);

  #follow: Follow | undefined;
  #stops: (() => void)[] = [];
  #asking: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly commune: string) {}

  start = (follow: Follow | undefined): (() => void) => {
    this.#follow = follow;
    this.#stops = [repeat(this.load, POLL_MS)];
    const deaf = follow?.listen({ told: this.#told, anew: () => void this.load() });
    if (deaf) this.#stops.push(deaf);
    for (const test of Object.values(this.tests)) this.#stops.push(test.start(follow));
    return () => {
      this.#stops.forEach((stop) => stop());
      this.#stops = [];
      clearTimeout(this.#asking);
      this.#asking = undefined;
    };
  };

  // In turn: an answer from before a change does not take the place of one from after it.
  load = inTurn(async (): Promise<void> => {
    const [view, failed] = await Promise.all([targetsOf(this.commune), failedOf(this.commune)]);
    if (view) this.view = view;
    if (failed) this.failed = failed;
  });

  /** Sends a message that says that somebody tries it. */
  test = (target: string, who: string): Promise<void> =>
    this.#doing([target], async () => {
      const told = await change<Told>('POST', path(this.commune, `targets/${target}/test`), { who });
      if ('refused' in told) {
        this.refused = told.refused;
        return;
      }
      const one = new OneEvent(this.commune, told.is.event.id);
      this.tests = { ...this.tests, [target]: one };
      this.#stops.push(one.start(this.#follow));
    });

  /** Has what was given up tried once more, one after the other. */
  retry = (deliveries: number[], who: string): Promise<void> =>
    this.#doing(deliveries, async () => {
      for (const number of deliveries) {
        const retried = await change('POST', path(this.commune, `deliveries/${number}/retry`), { who });
        if ('refused' in retried) {
          this.refused = retried.refused;
          return;
        }
        this.failed = this.failed.filter((delivery) => delivery.number !== number);
      }
    });

  /** A browser is told no more. */
  forget = (browser: number): Promise<void> =>
    this.#doing([`browser-${browser}`], async () => {
      const gone = await change('DELETE', path(this.commune, `push/${browser}`));
      if ('refused' in gone) this.refused = gone.refused;
    });

  async #doing(what: (string | number)[], does: () => Promise<void>): Promise<void> {
    this.refused = null;
    this.busy = [...this.busy, ...what];
    await does();
    this.busy = this.busy.filter((one) => !what.includes(one));
    await this.load();
  }

  #told = ({ entry }: Told): void => {
    if (!isTelling(entry)) return;
    this.#asking ??= setTimeout(() => {
      this.#asking = undefined;
      void this.load();
    }, TOLD_MS);
  };
}
