import { describe, expect, test } from 'vitest';
import {
  after,
  BEGINNING,
  FIRST_RETRY_MS,
  GIVE_UP_MS,
  type Happened,
  isBroken,
  LONGEST_RETRY_MS,
  patience,
  type Playing,
  STALL_MS,
  type Told,
} from './playing';

/** A machine with a clock that is moved by hand. */
class Stand {
  playing: Playing = BEGINNING;
  now = 1000;
  chance = 1;

  /** What is to be done, in short. */
  say(happened: Happened): string[] {
    const { playing, todo } = after(this.playing, happened, this.now, this.chance);
    this.playing = playing;
    return todo.map((one) => (one.do === 'wait' ? `wait ${one.ms}` : one.do));
  }

  told(state: Told['state'], reachable = true): string[] {
    return this.say({ is: 'told', told: { reachable, state, pictureAge: null, every: null } });
  }

  later(ms: number): string[] {
    this.now += ms;
    return this.say({ is: 'tick' });
  }

  get state(): [string, string | null] {
    return [this.playing.state, this.playing.cause];
  }
}

/** With pictures, from a router that says that the camera is live. */
function live(): Stand {
  const stand = new Stand();
  expect(stand.say({ is: 'attached' })).toEqual(['connect']);
  expect(stand.told('live')).toEqual([]);
  expect(stand.say({ is: 'shown' })).toEqual([]);
  expect(stand.state).toEqual(['playing', null]);
  return stand;
}

/** Its picture stands still. */
function stalled(): Stand {
  const stand = live();
  expect(stand.later(STALL_MS + 1)).toEqual([]);
  expect(stand.state).toEqual(['stalled', 'stalled']);
  return stand;
}

/** The connection was lost. */
function offline(): Stand {
  const stand = live();
  expect(stand.say({ is: 'failed', cause: 'lost' })).toEqual(['close', `wait ${FIRST_RETRY_MS}`]);
  expect(stand.state).toEqual(['offline', 'lost']);
  return stand;
}

describe('a picture', () => {
  test('is live from the first one on, and not before', () => {
    const stand = new Stand();
    stand.say({ is: 'attached' });
    expect(stand.state).toEqual(['connecting', null]);
    expect(stand.later(10 * STALL_MS)).toEqual([]);
    expect(stand.state).toEqual(['connecting', null]);
    stand.say({ is: 'shown' });
    expect(stand.state).toEqual(['playing', null]);
  });

  test('that stands still is not live, and is again when it moves', () => {
    const stand = live();
    stand.later(STALL_MS);
    expect(stand.state).toEqual(['playing', null]);
    stand.later(1);
    expect(stand.state).toEqual(['stalled', 'stalled']);
    stand.say({ is: 'shown' });
    expect(stand.state).toEqual(['playing', null]);
    stand.later(STALL_MS);
    expect(stand.state).toEqual(['playing', null]);
  });

  test('in another element starts over', () => {
    const stand = live();
    expect(stand.say({ is: 'attached' })).toEqual(['connect']);
    expect(stand.state).toEqual(['connecting', null]);
  });
});

describe('attempts', () => {
  test('wait twice as long each time, up to a bound, and half of that by chance', () => {
    const stand = new Stand();
    stand.say({ is: 'attached' });
    const waits = [1000, 2000, 4000, 8000, LONGEST_RETRY_MS, LONGEST_RETRY_MS];
    for (const ms of waits) {
      expect(stand.say({ is: 'failed', cause: 'full' })).toEqual(['close', `wait ${ms}`]);
      expect(stand.playing.retryAt).toBe(stand.now + ms);
      stand.now += ms;
      expect(stand.say({ is: 'due' })).toEqual(['connect']);
      // What was wrong is said until there is a picture.
      expect(stand.state).toEqual(['offline', 'full']);
    }
    stand.chance = 0;
    expect(stand.say({ is: 'failed', cause: 'full' })).toEqual(['close', `wait ${LONGEST_RETRY_MS / 2}`]);
  });

  test('begin with short waits again after a picture', () => {
    const stand = offline();
    stand.say({ is: 'due' });
    stand.say({ is: 'failed', cause: 'router' });
    stand.say({ is: 'due' });
    stand.say({ is: 'shown' });
    expect(stand.say({ is: 'failed', cause: 'lost' })).toEqual(['close', `wait ${FIRST_RETRY_MS}`]);
  });

  test('are made once for each wait', () => {
    const stand = offline();
    expect(stand.say({ is: 'due' })).toEqual(['connect']);
    expect(stand.say({ is: 'due' })).toEqual([]);
  });

  test('are made at once when the camera is live again, once', () => {
    const stand = live();
    stand.told('offline');
    stand.say({ is: 'failed', cause: 'lost' });
    expect(stand.told('offline')).toEqual([]);
    expect(stand.told('connecting')).toEqual([]);
    expect(stand.told('live')).toEqual(['connect']);
    // The router refuses all the same: that it says the same again is no reason to hurry.
    expect(stand.say({ is: 'failed', cause: 'full' })).toEqual(['close', `wait ${FIRST_RETRY_MS}`]);
    expect(stand.told('live')).toEqual([]);
    stand.say({ is: 'due' });
    expect(stand.say({ is: 'failed', cause: 'full' })).toEqual(['close', `wait ${2 * FIRST_RETRY_MS}`]);
    expect(stand.told('live')).toEqual([]);
  });

  test('are made at once when the router is back, whatever it says of the camera', () => {
    for (const state of ['idle', 'connecting', 'live'] as const) {
      const stand = offline();
      expect(stand.told('live', false)).toEqual([]);
      expect(stand.told(state)).toEqual(['connect']);
    }
  });

  test('are not begun while one is under way', () => {
    const stand = offline();
    stand.told('live', false);
    stand.say({ is: 'due' });
    expect(stand.told('live')).toEqual([]);
  });

  test('do not wait for the browser when the router is gone under them', () => {
    const stand = new Stand();
    stand.say({ is: 'attached' });
    stand.told('live');
    stand.say({ is: 'silent', silent: true });
    expect(stand.told('live', false)).toEqual([]);
    expect(stand.told('live')).toEqual(['connect']);
    expect(stand.told('live')).toEqual([]);
  });
});

describe('a router that crashed', () => {
  test('is named, and its pictures are not live', () => {
    const stand = live();
    stand.told('live', false);
    stand.later(STALL_MS + 1);
    expect(stand.state).toEqual(['stalled', 'router']);
    const other = stalled();
    other.told('live', false);
    expect(other.state).toEqual(['stalled', 'router']);
    expect(other.told('connecting')).toEqual(['ask']);
    expect(other.state).toEqual(['stalled', 'stalled']);
  });

  test('and is back: the session is asked for, and another one begun if it is forgotten', () => {
    const stand = stalled();
    expect(stand.told('live', false)).toEqual([]);
    expect(stand.told('live')).toEqual(['ask']);
    expect(stand.say({ is: 'forgotten' })).toEqual(['connect']);
    // Not live before there is a picture of the new session.
    expect(stand.playing.state).toBe('stalled');
    stand.say({ is: 'shown' });
    expect(stand.state).toEqual(['playing', null]);
  });

  test('and was back before the page missed it', () => {
    expect(stalled().told('live')).toEqual(['ask']);
  });

  test('and whose silence the browser noticed: no need to ask', () => {
    const stand = stalled();
    stand.say({ is: 'silent', silent: true });
    expect(stand.told('live', false)).toEqual([]);
    expect(stand.told('idle')).toEqual(['connect']);
    // The new connection is not silent.
    expect(stand.told('live')).toEqual(['ask']);
  });

  test('is not taken for one where the way was interrupted', () => {
    const stand = stalled();
    stand.say({ is: 'silent', silent: true });
    stand.say({ is: 'silent', silent: false });
    expect(stand.told('live')).toEqual(['ask']);
  });

  test('is not looked for where the camera has no picture', () => {
    const stand = stalled();
    stand.say({ is: 'silent', silent: true });
    expect(stand.told('stalled')).toEqual([]);
    expect(stand.told('offline')).toEqual([]);
    expect(stand.told('live')).toEqual(['connect']);
  });

  test('is no matter while there are pictures', () => {
    const stand = live();
    stand.say({ is: 'silent', silent: true });
    expect(stand.told('live', false)).toEqual([]);
    expect(stand.told('live')).toEqual([]);
    expect(stand.say({ is: 'forgotten' })).toEqual([]);
    expect(stand.state).toEqual(['playing', null]);
  });
});

describe('nobody looks', () => {
  test('and nothing is missed, for as long as that is', () => {
    const stand = live();
    expect(stand.say({ is: 'watched', watched: false })).toEqual([]);
    expect(stand.later(10 * STALL_MS)).toEqual([]);
    expect(stand.told('live')).toEqual([]);
    expect(stand.state).toEqual(['playing', null]);
    expect(stand.say({ is: 'watched', watched: true })).toEqual([]);
    stand.later(STALL_MS);
    expect(stand.state).toEqual(['playing', null]);
    stand.later(1);
    expect(stand.state).toEqual(['stalled', 'stalled']);
  });

  test('and no other session is tried', () => {
    const stand = stalled();
    stand.say({ is: 'watched', watched: false });
    stand.later(10 * GIVE_UP_MS);
    expect(stand.told('live')).toEqual([]);
  });
});

describe('after sleep', () => {
  test('a picture of before is none, and the router is asked for the session', () => {
    const stand = live();
    expect(stand.say({ is: 'woke' })).toEqual(['ask']);
    expect(stand.state).toEqual(['stalled', 'stalled']);
    expect(stand.say({ is: 'forgotten' })).toEqual(['connect']);
    const other = live();
    other.say({ is: 'woke' });
    other.say({ is: 'shown' });
    expect(other.state).toEqual(['playing', null]);
  });

  test('what waits for its turn does not wait longer', () => {
    const stand = offline();
    expect(stand.say({ is: 'woke' })).toEqual(['connect']);
    expect(stand.say({ is: 'woke' })).toEqual(['ask']);
    const fresh = new Stand();
    fresh.say({ is: 'attached' });
    expect(fresh.say({ is: 'woke' })).toEqual([]);
    expect(fresh.state).toEqual(['connecting', null]);
  });
});

test('where the router sends and nothing is shown, other sessions are tried, ever later', () => {
  const stand = stalled();
  for (const ms of [GIVE_UP_MS, 2 * GIVE_UP_MS, 4 * GIVE_UP_MS, 8 * GIVE_UP_MS, 60_000, 60_000]) {
    stand.now = Math.max(stand.playing.shownAt, stand.playing.begunAt) + ms;
    expect(stand.told('live')).toEqual(['ask']);
    stand.now += 1;
    // Not while the camera is not well.
    expect(stand.told('idle')).toEqual(['ask']);
    expect(stand.told('live')).toEqual(['connect']);
    expect(stand.told('live')).toEqual(['ask']);
  }
});

test('a camera with few pictures is waited for longer, within bounds', () => {
  const every = (ms: number | null): number =>
    patience({ reachable: true, state: 'live', pictureAge: 0, every: ms });
  expect([null, 40, 600].map(every)).toEqual([STALL_MS, STALL_MS, STALL_MS]);
  expect(every(2000)).toBe(5000);
  expect(every(60_000)).toBe(10_000);
  expect(patience(null)).toBe(STALL_MS);
  const stand = live();
  stand.say({ is: 'told', told: { reachable: true, state: 'live', pictureAge: 0, every: 2000 } });
  stand.later(4900);
  expect(stand.state).toEqual(['playing', null]);
});

test('the router has no picture of the camera, as long as it says so', () => {
  const said = (state: Told['state'], reachable = true): Told => ({
    state,
    reachable,
    pictureAge: null,
    every: null,
  });
  expect(isBroken(said('stalled'))).toBe(true);
  expect(isBroken(said('offline'))).toBe(true);
  expect(isBroken(said('offline', false))).toBe(false);
  for (const state of ['live', 'idle', 'connecting', null] as const)
    expect(isBroken(said(state))).toBe(false);
});
