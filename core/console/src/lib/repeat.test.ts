import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { inTurn, repeat } from './repeat';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('while an answer is waited for, no other question is asked', async () => {
  let [open, most, asked] = [0, 0, 0];
  const stop = repeat(async () => {
    asked += 1;
    open += 1;
    most = Math.max(most, open);
    // The second answer is slow.
    await later(asked === 2 ? 5000 : 10);
    open -= 1;
  }, 2000);
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(2000);
  expect(asked).toBe(2);
  await vi.advanceTimersByTimeAsync(4900);
  expect(asked).toBe(2);
  await vi.advanceTimersByTimeAsync(2000);
  expect(asked).toBe(3);
  expect(most).toBe(1);
  stop();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(asked).toBe(3);
});

test('who asks while another does gets an answer from after his question', async () => {
  let value = 'before';
  const seen: string[] = [];
  const ask = inTurn(async () => {
    const answer = value;
    await later(answer === 'before' ? 1000 : 10);
    seen.push(answer);
  });
  void ask();
  await vi.advanceTimersByTimeAsync(100);
  value = 'after';
  const asked = ask();
  await vi.advanceTimersByTimeAsync(2000);
  await asked;
  expect(seen).toEqual(['before', 'after']);
});

test('a question that failed does not keep the next from being asked', async () => {
  let asked = 0;
  const ask = inTurn(() => {
    asked += 1;
    return asked === 1 ? Promise.reject(new Error('no')) : Promise.resolve();
  });
  await expect(ask()).rejects.toThrow('no');
  await ask();
  expect(asked).toBe(2);
});
