// What is wrong with a commune's recordings, as sentences. Pure.

import type { components } from './api';
import type { Word } from './texts/en';

export type Standing = components['schemas']['StorageView'];

export interface Trouble {
  word: Word;
  /** `camera` is a camera's name in addresses, `at` a time in µs since 1970. */
  parts: Record<string, string>;
}

const DAY = 86_400_000_000;
/** Room that is short later than this is no trouble yet. */
const SOON = 30 * DAY;

/** The worst first. `now` is in µs since 1970. */
export function troublesOf(standing: Standing, now: number): Trouble[] {
  const troubles: Trouble[] = [];
  for (const { camera, refused } of standing.cameras) {
    if (refused) troubles.push({ word: 'trouble_refused', parts: { camera } });
  }
  if (standing.free < standing.floor) troubles.push({ word: 'trouble_full', parts: {} });
  const short = standing.short_at ?? null;
  if (short !== null && short - now < SOON) {
    troubles.push({ word: 'trouble_short', parts: { at: String(short) } });
  }
  for (const { camera, used, quota } of standing.cameras) {
    if (quota != null && quota > 0 && used > quota)
      troubles.push({ word: 'trouble_quota', parts: { camera } });
  }
  for (const { name, error, waiting } of standing.stores) {
    if (error) {
      troubles.push({ word: 'trouble_store', parts: { store: name, error, n: String(waiting) } });
    }
  }
  return troubles;
}
