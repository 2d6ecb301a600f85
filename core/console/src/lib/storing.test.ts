import { expect, test } from 'vitest';
import { troublesOf, type Standing } from './storing';

const DAY = 86_400_000_000;
const NOW = 1_800_000_000_000_000;
const fine: Standing = {
  total: 1000,
  free: 500,
  floor: 100,
  came_a_day: 1,
  aged_a_day: 1,
  short_at: null,
  storage: null,
  cameras: [{ camera: 'cho', mode: 'continuous', refused: false, used: 5, quota: 10, oldest: 1, newest: 2 }],
  stores: [{ name: 'local', folder: null, used: 5, quota: null, waiting: 0, error: null }],
  signing: { signed: true, because: null, until: NOW },
};
const words = (standing: Standing): string[] => troublesOf(standing, NOW).map(({ word }) => word);

test('nothing is wrong where nothing is', () => {
  expect(words(fine)).toEqual([]);
  // In a year is no trouble today.
  expect(words({ ...fine, short_at: NOW + 365 * DAY })).toEqual([]);
});

test('every trouble is a sentence, the worst first', () => {
  const [camera] = fine.cameras;
  const [store] = fine.stores;
  if (!camera || !store) throw new Error('there is one of each');
  const standing: Standing = {
    ...fine,
    free: 50,
    short_at: NOW + DAY,
    cameras: [{ ...camera, refused: true, used: 11 }],
    stores: [store, { ...store, name: 'nas', error: 'refused', waiting: 3 }],
  };
  expect(words(standing)).toEqual([
    'trouble_refused',
    'trouble_full',
    'trouble_short',
    'trouble_quota',
    'trouble_store',
  ]);
});
