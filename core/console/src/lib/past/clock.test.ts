import { expect, test } from 'vitest';
import { changed, faster, momentAt, slower, SPEEDS, steer } from './clock';

const clock = { moment: 1000, since: 50, speed: 2, playing: true };

test('the clock runs at its speed, and stands when it does not play', () => {
  expect(momentAt(clock, 150)).toBe(1200);
  expect(momentAt({ ...clock, playing: false }, 150)).toBe(1000);
});

test('a change begins where the clock is', () => {
  const slow = changed(clock, 150, { speed: 0.5 });
  expect(slow).toEqual({ moment: 1200, since: 150, speed: 0.5, playing: true });
  expect(momentAt(slow, 250)).toBe(1250);
  expect(changed(clock, 150, { moment: 7 }).moment).toBe(7);
});

test('speeds have ends', () => {
  expect(faster(1)).toBe(2);
  expect(slower(1)).toBe(0.5);
  expect(faster(16)).toBe(16);
  expect(slower(0.25)).toBe(0.25);
  // One that is between two of them.
  expect(faster(3)).toBe(4);
});

test.each(SPEEDS)('at %s× a picture that is off comes into step and stays there', (speed) => {
  for (const off of [-300, -80, -20, 40, 333]) {
    let [wanted, shown] = [0, off * speed];
    for (let ms = 0; ms < 4000; ms += 16) {
      const steered = steer(wanted, shown, speed);
      if (steered.seek) throw new Error('it was close enough');
      expect(steered.rate / speed).toBeGreaterThanOrEqual(0.8);
      expect(steered.rate / speed).toBeLessThanOrEqual(1.2);
      wanted += 16 * speed;
      shown += 16 * steered.rate;
    }
    // Within a picture of 25 a second, in the time of who looks.
    expect(Math.abs(wanted - shown) / speed).toBeLessThan(10);
  }
});

test('what is far off is fetched anew', () => {
  expect(steer(10_000, 0, 1).seek).toBe(true);
  expect(steer(0, 10_000, 1).seek).toBe(true);
  // At sixteen times the speed the same is next to nothing.
  expect(steer(2000, 0, 16).seek).toBe(false);
});
