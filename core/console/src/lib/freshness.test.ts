import { describe, expect, test } from 'vitest';
import { Freshness } from './freshness';

/** A camera with 25 pictures a second, seen through a page with a clock that is moved by hand. */
class Stand {
  readonly freshness = new Freshness();
  now = 5000;
  rtp: number;

  constructor(rtp = 4_294_960_000) {
    this.rtp = rtp;
  }

  /** One picture `apart` later in the camera's time and `wait` later in ours. */
  picture(apart = 40, wait = apart): boolean {
    this.rtp = (this.rtp + apart * 90) >>> 0;
    this.now += wait;
    return this.freshness.shown(this.rtp, this.now, 40);
  }

  play(ms: number, delay = 0): void {
    this.now += delay;
    for (let t = 0; t < ms; t += 40) this.picture();
  }

  get age(): number {
    return Math.round(this.freshness.picture?.age ?? NaN);
  }

  get replayed(): boolean | undefined {
    return this.freshness.picture?.replayed;
  }
}

describe('a replay', () => {
  test('is known by its steps; the first picture may be one of it', () => {
    const stand = new Stand();
    expect(stand.freshness.picture).toBeNull();
    stand.picture();
    expect(stand.replayed).toBe(true);
    for (let i = 0; i < 20; i += 1) stand.picture(5, 16);
    expect(stand.replayed).toBe(true);
    stand.picture();
    expect(stand.replayed).toBe(false);
  });

  test('in the middle is one, but a camera’s jitter is not', () => {
    const stand = new Stand();
    stand.play(1000);
    stand.picture(3, 10);
    stand.picture(3, 10);
    expect(stand.replayed).toBe(false);
    stand.picture(74, 60);
    for (let i = 0; i < 3; i += 1) stand.picture(0.4, 10);
    expect(stand.replayed).toBe(true);
  });

  test('of a camera that stands still makes nothing young', () => {
    const stand = new Stand();
    stand.play(2000);
    expect(stand.age).toBe(0);
    // Every second the old group again, as if it had been taken since.
    for (let second = 1; second <= 90; second += 1) {
      stand.now += 1000 - 15 * 16;
      for (let i = 0; i < 15; i += 1) stand.picture(0.4, 16);
      expect(stand.age).toBeGreaterThan(second * 990);
      expect(stand.replayed).toBe(true);
    }
  });

  test('of a camera with 60 pictures a second is none', () => {
    const freshness = new Freshness();
    for (let i = 0; i < 30; i += 1) freshness.shown(i * 1500, i * 16.7, 16.7);
    expect(freshness.picture?.replayed).toBe(false);
  });
});

describe('age', () => {
  test('is what a picture is later than the promptest was, over the end of the counter', () => {
    const stand = new Stand();
    stand.play(10_000);
    expect(stand.age).toBe(0);
    stand.play(1000, 3000);
    expect(stand.age).toBeGreaterThan(2990);
    expect(stand.age).toBeLessThanOrEqual(3000);
    // It catches up.
    stand.picture(3000, 40);
    expect(stand.age).toBeLessThan(60);
  });

  test('does not grow with a camera’s drift', () => {
    const stand = new Stand();
    for (let i = 0; i < 25 * 3600; i += 1) stand.picture(40, 40.02);
    expect(stand.age).toBeLessThan(40);
  });

  test('does not shrink because it stays late', () => {
    const stand = new Stand();
    stand.play(2000);
    stand.play(60_000, 4000);
    expect(stand.age).toBeGreaterThan(3900);
  });

  test('is at least what the router has sent since', () => {
    const stand = new Stand();
    stand.play(2000);
    stand.freshness.sent((stand.rtp + 6000 * 90) >>> 0, stand.now + 1000, true);
    stand.picture();
    // Six seconds further a second ago: five behind what was as prompt as can be.
    expect(stand.age).toBeGreaterThan(4900);
    expect(stand.age).toBeLessThan(5100);
    // That it has sent less says nothing.
    stand.freshness.sent((stand.rtp - 2000 * 90) >>> 0, stand.now, true);
    stand.picture();
    expect(stand.age).toBeGreaterThan(4900);
  });

  test('begins anew where the camera’s time was set back, once the router has nothing newer', () => {
    const stand = new Stand();
    stand.play(2000);
    stand.rtp = (stand.rtp - 20_000 * 90) >>> 0;
    stand.play(4000);
    expect(stand.age).toBeGreaterThan(19_000);
    stand.freshness.sent(stand.rtp, stand.now, true);
    stand.play(2000);
    expect(stand.age).toBeGreaterThan(19_000);
    // Not while the camera is not well: those are old ones.
    stand.freshness.sent(stand.rtp, stand.now, false);
    stand.picture();
    expect(stand.age).toBeGreaterThan(19_000);
    stand.freshness.sent(stand.rtp, stand.now, true);
    stand.picture();
    expect(stand.age).toBe(0);
  });
});

test('the same picture again is none', () => {
  const stand = new Stand();
  expect(stand.picture()).toBe(true);
  const { picture } = stand.freshness;
  expect(stand.picture(0, 500)).toBe(false);
  expect(stand.freshness.picture).toBe(picture);
});

test('what was out of sight counts no more, its clock does; another connection’s neither', () => {
  const stand = new Stand();
  stand.play(2000);
  stand.freshness.unsee();
  expect(stand.freshness.picture).toBeNull();
  stand.picture(60_000);
  expect([stand.age, stand.replayed]).toEqual([0, false]);
  stand.freshness.unsee();
  stand.picture(40, 30_000);
  expect(stand.age).toBeGreaterThan(29_000);
  stand.freshness.forget();
  stand.freshness.sent(1, 2, true);
  stand.picture();
  expect([stand.age, stand.replayed]).toEqual([0, true]);
});
