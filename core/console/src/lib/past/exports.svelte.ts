// What is asked of the router for an interval: to hand it over, or to keep it.

import type { components } from '../api';
import { change, get, getJson, type Refused } from '../ask';
import { bytesOf } from './cutting';
import { parsePlaylist } from './playlist';

export type Hold = components['schemas']['Hold'];

/** What came of an export. */
export type Exported = components['schemas']['ExportView'];

export interface ExportWish {
  cameras: string[];
  from: number;
  to: number;
  profile: 'main' | 'sub';
  who: string;
  why: string;
  case_number: string;
}

const micros = (ms: number): number => Math.round(ms * 1000);

export class Exports {
  /** Something is being asked for. */
  busy = $state(false);
  refused = $state.raw<Refused | null>(null);
  done = $state.raw<Exported | null>(null);

  constructor(readonly commune: string) {}

  async make(wish: ExportWish): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.done = null;
    const body = { ...wish, from: micros(wish.from), to: micros(wish.to) };
    const changed = await change<Exported>('POST', `/api/v1/communes/${this.commune}/exports`, body);
    this.busy = false;
    this.refused = 'refused' in changed ? changed.refused : null;
    this.done = 'is' in changed ? changed.is : null;
  }
}

export class Holds {
  list = $state.raw<Hold[]>([]);
  known = $state(false);
  refused = $state.raw<Refused | null>(null);

  constructor(readonly commune: string) {}

  get #path(): string {
    return `/api/v1/communes/${this.commune}/holds`;
  }

  load = async (): Promise<void> => {
    const list = await getJson<Hold[]>(this.#path);
    if (!list) return;
    this.list = list;
    this.known = true;
  };

  /** Whether it is held from now on; `until` in ms. */
  async make(wish: ExportWish, until: number | null): Promise<boolean> {
    for (const camera of wish.cameras) {
      const changed = await change<Hold>('POST', this.#path, {
        camera,
        start: micros(wish.from),
        end: micros(wish.to),
        until: until === null ? null : micros(until),
        who: wish.who,
        why: wish.why,
        case_number: wish.case_number,
      });
      this.refused = 'refused' in changed ? changed.refused : null;
      if (this.refused) break;
    }
    await this.load();
    return this.refused === null;
  }

  async release(number: number, who: string, why: string): Promise<boolean> {
    const changed = await change('POST', `${this.#path}/${number}/release`, { who, why });
    this.refused = 'refused' in changed ? changed.refused : null;
    await this.load();
    return this.refused === null;
  }
}

/** About how many bytes an interval of a camera has; null if that can not be had. */
export async function sizeOf(
  commune: string,
  camera: string,
  profile: 'main' | 'sub',
  cut: { from: number; to: number },
): Promise<number | null> {
  const range = `from=${micros(cut.from)}&to=${micros(cut.to)}&profile=${profile}`;
  const path = `/api/v1/communes/${commune}/cameras/${camera}/recordings/playlist.m3u8?${range}`;
  const response = await get(path);
  const text = response?.ok ? await response.text().catch(() => null) : null;
  return text === null ? null : bytesOf(parsePlaylist(text).pieces, cut);
}
