// What the router says about its cameras, asked for every two seconds.

import { repeat } from './repeat';

export interface NoSound {
  /** A word from a closed set. */
  reason: string;
  /** More about it, in English. */
  detail: string;
}

export interface Profile {
  profile: 'main' | 'sub';
  state: 'idle' | 'connecting' | 'live' | 'stalled' | 'offline';
  since: number;
  cause: string | null;
  detail: string | null;
  retry_at: number | null;
  picture_age: number | null;
  codec: string | null;
  width: number | null;
  height: number | null;
  audio: string | null;
  bits_per_second: number;
  frames_per_second: number;
  keyframe_interval: number | null;
  viewers: number;
  reconnects: [string, number][];
  transport: string | null;
  no_sound: NoSound | null;
  /** What the camera does that no standard says: a word, and how often it was seen. */
  quirks: Record<string, number>;
}

export interface Camera {
  id: string;
  title: string;
  on_demand: boolean;
  profiles: Profile[];
}

export interface Commune {
  id: string;
  name: string;
  time_zone: string;
  cameras: Camera[];
}

export interface Problem {
  place: string;
  message: string;
  hint: string | null;
}

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
      const answer = (await response.json()) as {
        now: number;
        communes: Commune[];
        problems: Problem[];
      };
      this.communes = answer.communes;
      this.problems = answer.problems;
      this.now = answer.now;
      this.known = true;
      this.reachable = true;
    } catch {
      this.reachable = false;
    }
  };

  start = (): (() => void) => repeat(this.poll, POLL_MS);
}

export const overview = new Overview();
