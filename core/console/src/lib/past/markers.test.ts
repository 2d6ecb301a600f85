import { expect, test } from 'vitest';
import type { RouterEvent } from '../eventlist';
import { markersOf } from './markers';

const event = (id: string, began: number, severity: string): RouterEvent =>
  ({ id, began: began * 1000, severity }) as RouterEvent;

test('marks that would cover each other are one, that of the worst', () => {
  const events = [
    event('c', 300, 'info'),
    event('a', 0, 'warning'),
    event('b', 10, 'info'),
    event('d', 310, 'alarm'),
  ];
  const markers = markersOf(events, (time) => time);
  expect(markers.map(({ x, event, count }) => [x, event.id, count])).toEqual([
    [0, 'a', 2],
    [300, 'd', 2],
  ]);
});
