import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Overview } from './overview.svelte';

const held: { seen?: (seen: boolean) => void }[] = [];
vi.mock('./sight', () => ({
  sight: {
    seen: true,
    listen: (one: (typeof held)[number]) => {
      held.push(one);
      return () => undefined;
    },
  },
}));

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

test('a router that is away, or just back, is asked more often; whoever looks again asks at once', async () => {
  let up = true;
  let asked = 0;
  vi.stubGlobal('fetch', () => {
    asked += 1;
    if (!up) return Promise.reject(new TypeError('refused'));
    return Promise.resolve(new Response(JSON.stringify({ now: asked, communes: [], problems: [] })));
  });
  const during = async (ms: number): Promise<number> => {
    const before = asked;
    await vi.advanceTimersByTimeAsync(ms);
    return asked - before;
  };
  const overview = new Overview();
  const stop = overview.start();
  expect(await during(10_000)).toBe(5);
  up = false;
  await during(2000);
  expect(overview.reachable).toBe(false);
  expect(await during(5000)).toBe(10);
  up = true;
  expect(await during(500)).toBe(1);
  expect(overview.reachable).toBe(true);
  expect(await during(9000)).toBe(18);
  await during(2000);
  expect(await during(10_000)).toBe(5);
  await during(600);
  for (const one of held) one.seen?.(true);
  expect(await during(500)).toBe(1);
  stop();
  expect(await during(10_000)).toBe(0);
});
