import { describe, expect, test } from 'vitest';
import type { Shown } from './freshness';
import { type Facts, type Label, labelOf, STILL_MS, until } from './label';
import { type PlayState, STALL_MS, type Told } from './playing';

const NOW = 1_000_000;

/** A picture that came `ago` before, and was `age` old then. */
const shown = (ago: number, age = 0, replayed = false): Shown => ({ at: NOW - ago, age, replayed });
const told = (change: Partial<Told> = {}): Told => ({
  reachable: true,
  state: 'live',
  pictureAge: 20,
  every: 40,
  ...change,
});
const facts = (change: Partial<Facts> = {}): Facts => ({
  state: 'playing',
  cause: null,
  picture: shown(20),
  paused: false,
  seen: true,
  told: told(),
  toldAt: NOW - 1000,
  ...change,
});
const label = (change: Partial<Facts>): Label => labelOf(facts(change), NOW).label;

describe('live', () => {
  test('is a picture that moves and is of now', () => {
    expect(labelOf(facts(), NOW)).toEqual({ label: 'live', cause: null, seconds: null });
    // Without a word of the router's as well: it shows that it is there.
    for (const word of [null, told({ reachable: false }), told({ state: null })]) {
      expect(label({ told: word })).toBe('live');
    }
  });

  test('is said of nothing else, whatever else is true', () => {
    const states: PlayState[] = ['connecting', 'playing', 'stalled', 'offline'];
    const pictures = [null, ...[0, 20, 700, 900, 1600, 20_000].flatMap((ago) => many(ago))];
    const words = [
      null,
      ...(['idle', 'connecting', 'live', 'stalled', 'offline', null] as const).flatMap((state) =>
        [true, false].flatMap((reachable) =>
          [null, 20, 5000].flatMap((pictureAge) =>
            [null, 40, 2000].map((every) => told({ state, reachable, pictureAge, every })),
          ),
        ),
      ),
    ];
    let lives = 0;
    for (const state of states)
      for (const picture of pictures)
        for (const paused of [false, true])
          for (const seen of [false, true])
            for (const word of words) {
              const said = labelOf(facts({ state, picture, paused, seen, told: word }), NOW).label;
              if (said !== 'live') continue;
              lives += 1;
              expect(seen && !paused && state !== 'offline').toBe(true);
              expect(picture?.replayed).toBe(false);
              const still = NOW - (picture?.at ?? 0);
              expect(still).toBeLessThanOrEqual(STILL_MS);
              expect((picture?.age ?? Infinity) + still).toBeLessThanOrEqual(1000);
            }
    expect(lives).toBeGreaterThan(100);
  });

  function many(ago: number): Shown[] {
    return [0, 400, 1100, 60_000].flatMap((age) => [shown(ago, age), shown(ago, age, true)]);
  }
});

describe('a picture', () => {
  test('that stands says how old it is, then that it stands', () => {
    const after = (ms: number): unknown => {
      const said = labelOf(facts(), NOW + ms - 20);
      return [said.label, said.seconds];
    };
    expect(after(STILL_MS)).toEqual(['live', null]);
    expect(after(STILL_MS + 1)).toEqual(['aged', 1]);
    expect(after(STALL_MS)).toEqual(['aged', 2]);
    expect(after(STALL_MS + 1)).toEqual(['stalled', null]);
  });

  test('that moves and is late says by how much', () => {
    expect(labelOf(facts({ picture: shown(20, 981) }), NOW)).toMatchObject({ label: 'aged', seconds: 1 });
    expect(labelOf(facts({ picture: shown(20, 7000) }), NOW)).toMatchObject({ label: 'aged', seconds: 7 });
  });

  test('of a replay is none of now; one that stands is as old as the router says', () => {
    expect(label({ picture: shown(20, 0, true) })).toBe('catching');
    const word = told({ pictureAge: 4000 });
    const picture = shown(900, 0, true);
    expect(labelOf(facts({ picture, told: word, toldAt: NOW - 1000 }), NOW)).toMatchObject({
      label: 'aged',
      seconds: 5,
    });
  });

  test('that came after the router missed some counts more than its word, one before does not', () => {
    const word = told({ pictureAge: 3000 });
    expect(label({ told: word, toldAt: NOW - 1000, picture: shown(20) })).toBe('live');
    expect(label({ told: word, toldAt: NOW - 10, picture: shown(20) })).toBe('aged');
  });

  test('of a camera that takes one every two seconds is never live, and not missed at once', () => {
    const word = told({ every: 2000 });
    expect(label({ told: word, picture: shown(20) })).toBe('aged');
    expect(label({ told: word, picture: shown(4900) })).toBe('aged');
    expect(label({ told: word, picture: shown(5100) })).toBe('stalled');
  });
});

describe('without one', () => {
  test('it is said what is waited for, and why it does not come', () => {
    const said = (change: Partial<Facts>): unknown => {
      const { label, cause } = labelOf(facts({ picture: null, ...change }), NOW);
      return [label, cause];
    };
    expect(said({ state: 'connecting' })).toEqual(['connecting', null]);
    expect(said({ state: 'playing' })).toEqual(['connecting', null]);
    expect(said({ state: 'offline', cause: 'full' })).toEqual(['offline', 'full']);
    expect(said({ state: 'stalled' })).toEqual(['stalled', 'stalled']);
    expect(said({ state: 'stalled', told: told({ reachable: false }) })).toEqual(['stalled', 'router']);
    expect(said({ state: 'connecting', told: told({ state: 'offline' }) })).toEqual(['offline', null]);
    expect(said({ state: 'offline', cause: 'lost', told: told({ state: 'stalled' }) })).toEqual([
      'stalled',
      'lost',
    ]);
    // What the router said before it fell silent tells nothing.
    expect(said({ state: 'connecting', told: told({ state: 'offline', reachable: false }) })).toEqual([
      'connecting',
      null,
    ]);
  });

  test('what the browser refuses is for a person to press, if there is something to be seen', () => {
    expect(label({ paused: true })).toBe('paused');
    expect(label({ paused: true, picture: null, state: 'connecting' })).toBe('paused');
    expect(label({ paused: true, state: 'offline' })).toBe('offline');
    expect(label({ paused: true, told: told({ state: 'stalled' }) })).toBe('stalled');
  });

  test('nothing is said where nobody sees it', () => {
    expect(label({ seen: false })).toBe('hidden');
    expect(label({ seen: false, state: 'offline' })).toBe('hidden');
  });
});

test('live ends at a moment that is known before', () => {
  for (const picture of [shown(20), shown(20, 150), shown(20, 700)]) {
    const end = until(labelOf(facts({ picture }), NOW), picture) ?? 0;
    expect(labelOf(facts({ picture }), end).label).toBe('live');
    expect(labelOf(facts({ picture }), end + 1).label).toBe('aged');
  }
  expect(until(labelOf(facts({ seen: false }), NOW), shown(20))).toBeNull();
});
