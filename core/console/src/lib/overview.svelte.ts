// What the router says about its cameras, asked for every two seconds.

import type { components } from './api';
import { repeat } from './repeat';

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

  poll = async (): Promise<void> => {
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
  };

  start = (): (() => void) => repeat(this.poll, POLL_MS);
}

export const overview = new Overview();
