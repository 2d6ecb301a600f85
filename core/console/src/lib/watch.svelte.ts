// The events of all communes, on every page: for the number in the bar, marks on the wall, and the bell.

import { bell } from './bell.svelte';
import { worstAt, type RouterEvent } from './eventlist';
import { Follow } from './follow.svelte';

/** So many communes tell what happens as it happens; the others are asked. */
const TOLD = 2;

class Watch {
  #follows = $state.raw<Follow[]>([]);
  #stops: (() => void)[] = [];
  #key = '';

  /** The worst event that stands out at each camera, by `commune/camera`. */
  marks: Map<string, RouterEvent> = $derived(worstAt(this.#follows.flatMap((follow) => follow.standing)));

  of = (commune: string): Follow | undefined => this.#follows.find((follow) => follow.commune === commune);

  /** How many events want an answer: of a commune, or of all. */
  unanswered = (commune: string | null): number =>
    this.#follows
      .filter((follow) => commune === null || follow.commune === commune)
      .reduce((sum, follow) => sum + (follow.unanswered ?? 0), 0);

  /** From now on these communes, those that matter most first. */
  keep = (communes: string[]): void => {
    const key = communes.join(' ');
    if (key === this.#key) return;
    this.stop();
    this.#key = key;
    this.#follows = communes.map((commune) => new Follow(commune, bell.look));
    this.#stops = this.#follows.map((follow, index) => follow.start(index < TOLD));
  };

  /** The router answers again: who was connected to it may not have noticed that it did not. */
  again = (): void => this.#follows.forEach((follow) => follow.again());

  stop = (): void => {
    this.#stops.forEach((stop) => stop());
    this.#stops = [];
    this.#follows = [];
    this.#key = '';
  };
}

export const watch = new Watch();
