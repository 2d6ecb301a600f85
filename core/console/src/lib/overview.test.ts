import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Overview } from './overview.svelte';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a slow answer is waited for, and never takes the place of a newer one', async () => {
  const delays = [5, 4500, 5, 5];
  let asked = 0;
  vi.stubGlobal('fetch', async () => {
    const turn = asked;
    asked += 1;
    await new Promise((resolve) => setTimeout(resolve, delays[turn] ?? 5));
    return new Response(JSON.stringify({ now: turn, communes: [], problems: [] }));
  });
  const overview = new Overview();
  const stop = overview.start();
  await vi.advanceTimersByTimeAsync(6000);
  expect(asked).toBe(2);
  expect(overview.now).toBe(0);
  const seen: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    await vi.advanceTimersByTimeAsync(1000);
    seen.push(overview.now);
  }
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.at(-1)).toBeGreaterThanOrEqual(2);
  stop();
});

test('no answer and a bad one are both none; what was known stays', async () => {
  const answers = [
    () => new Response(JSON.stringify({ now: 7, communes: [], problems: [] })),
    () => {
      throw new TypeError('no route');
    },
    () => new Response('', { status: 502 }),
    () => new Response('not json'),
    () => new Response(JSON.stringify({ now: 8, communes: [], problems: [] })),
  ];
  vi.stubGlobal('fetch', () => Promise.resolve().then(() => answers.shift()?.()));
  const overview = new Overview();
  const seen: [boolean, number][] = [];
  while (answers.length > 0) {
    await overview.poll();
    seen.push([overview.reachable, overview.now]);
  }
  expect(seen).toEqual([
    [true, 7],
    [false, 7],
    [false, 7],
    [false, 7],
    [true, 8],
  ]);
});
