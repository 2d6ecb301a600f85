// What the router says about its cameras, asked for every two seconds.

import type { components } from './api';
import { repeat } from './repeat';
import { sight } from './sight';

type Answer = components['schemas']['Overview'];
export type Commune = components['schemas']['CommuneView'];
export type Camera = components['schemas']['CameraView'];
export type Profile = components['schemas']['ProfileView'];
export type Problem = components['schemas']['ConfigProblem'];

export interface Placed {
  commune: Commune;
  camera: Camera;
  key: string;
}

const POLL_MS = 2000;
/** A router that does not answer is asked more often, and so is one that has just begun to: its cameras come
 * back one after the other, and pictures wait for that word. */
const SOON_MS = 500;
const SOON_FOR_MS = 10_000;
/** Whoever takes longer does not answer. */
const ANSWER_MS = 5000;

export class Overview {
  communes = $state.raw<Commune[]>([]);
  problems = $state.raw<Problem[]>([]);
  /** Whether an answer has come at all. */
  known = $state(false);
  /** Whether the last question was answered. */
  reachable = $state(true);
  /** The router's clock, in seconds since 1970. */
  now = $state(0);
  /** How far it is ahead of this machine's, in seconds. */
  ahead = 0;

  /** All cameras with their commune. */
  cameras = $derived(
    this.communes.flatMap((commune) =>
      commune.cameras.map((camera): Placed => ({
        commune,
        camera,
        key: `${commune.id}/${camera.id}`,
      })),
    ),
  );

  find = (key: string): Placed | undefined => this.cameras.find((c) => c.key === key);

  /** When the next question is due, and until when questions are asked more often. */
  #due = 0;
  #soonUntil = 0;

  poll = async (): Promise<void> => {
    const before = this.reachable;
    await this.#ask();
    const now = performance.now();
    if (this.reachable && !before) this.#soonUntil = now + SOON_FOR_MS;
    const soon = !this.reachable || now < this.#soonUntil;
    // A little less: a timer that comes early must not make it wait for the next one.
    this.#due = now + (soon ? SOON_MS : POLL_MS) - SOON_MS / 2;
  };

  async #ask(): Promise<void> {
    try {
      const response = await fetch('/api/v1/overview', { signal: AbortSignal.timeout(ANSWER_MS) });
      if (!response.ok) throw new Error(String(response.status));
      const answer = (await response.json()) as Answer;
      this.communes = answer.communes;
      this.problems = answer.problems;
      this.now = answer.now;
      this.ahead = answer.now - Date.now() / 1000;
      this.known = true;
      this.reachable = true;
    } catch {
      this.reachable = false;
    }
  }

  /** Asks until the returned function is called. */
  start = (): (() => void) => {
    const now = (): void => {
      this.#due = 0;
    };
    // Whoever comes back wants to know how it stands.
    const listening = sight.listen({ seen: now, woke: now, back: now });
    const asking = repeat(async () => {
      if (performance.now() >= this.#due) await this.poll();
    }, SOON_MS);
    return () => {
      listening();
      asking();
    };
  };
}

export const overview = new Overview();
