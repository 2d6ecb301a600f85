import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type * as Module from './sight';

class Page extends EventTarget {
  visibilityState: 'visible' | 'hidden' = 'visible';
}

let page: Page;
let frame: EventTarget;
let sight: typeof Module;
let told: string[];

beforeEach(async () => {
  vi.useFakeTimers();
  page = new Page();
  frame = new EventTarget();
  vi.stubGlobal('document', page);
  vi.stubGlobal('addEventListener', frame.addEventListener.bind(frame));
  vi.resetModules();
  sight = await import('./sight');
  told = [];
  sight.sight.listen({
    seen: (seen) => told.push(seen ? 'seen' : 'unseen'),
    woke: () => told.push('woke'),
    left: () => told.push('left'),
    back: () => told.push('back'),
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function turn(visible: boolean): void {
  page.visibilityState = visible ? 'visible' : 'hidden';
  page.dispatchEvent(new Event('visibilitychange'));
}

test('a tab goes behind others and comes back', () => {
  expect(sight.sight.seen).toBe(true);
  turn(false);
  expect(sight.sight.seen).toBe(false);
  // A browser calls a hidden page once a minute.
  vi.advanceTimersByTime(60_000);
  turn(true);
  turn(true);
  expect(told).toEqual(['unseen', 'seen']);
});

test('a page that is frozen is not seen from then on, and woken after', () => {
  page.dispatchEvent(new Event('freeze'));
  expect(sight.sight.seen).toBe(false);
  page.dispatchEvent(new Event('resume'));
  expect(told).toEqual(['unseen', 'seen', 'woke']);
});

test('a machine that slept is known by the wall’s clock', () => {
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual([]);
  // The page's own clock stood still meanwhile.
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(1000);
  expect(told).toEqual(['woke']);
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual(['woke']);
});

test('which of two looks was after sleep', () => {
  const look = { wall: 0, own: 0, visible: true };
  const held = (wall: number, own: number, visible = true): boolean =>
    sight.wasHeld(look, { wall, own, visible });
  expect(held(1000, 1000)).toBe(false);
  expect(held(3900, 3900)).toBe(false);
  // Nothing was called for long although the page was in sight.
  expect(held(4100, 4100)).toBe(true);
  expect(held(4100, 4100, false)).toBe(false);
  expect(held(60_000, 1000, false)).toBe(true);
  // A clock that is set back.
  expect(held(-60_000, 1000)).toBe(false);
});

test('left for good, or to come back', () => {
  frame.dispatchEvent(new Event('pagehide'));
  frame.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }));
  expect(told).toEqual(['left']);
  frame.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  expect(told).toEqual(['left', 'back']);
});

test('who listens no more hears nothing', () => {
  const other: string[] = [];
  const stop = sight.sight.listen({ seen: () => other.push('seen') });
  stop();
  turn(false);
  expect(other).toEqual([]);
});
