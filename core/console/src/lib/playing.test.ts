import { describe, expect, test } from 'vitest';
import {
  after,
  BEGINNING,
  FIRST_RETRY_MS,
  type Happened,
  isBroken,
  LONGEST_RETRY_MS,
  type Playing,
  shownAs,
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
    return this.say({ is: 'told', told: { reachable, state } });
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
  expect(stand.state).toEqual(['live', null]);
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
    expect(stand.state).toEqual(['live', null]);
  });

  test('that stands still is not live, and is again when it moves', () => {
    const stand = live();
    stand.later(STALL_MS);
    expect(stand.state).toEqual(['live', null]);
    stand.later(1);
    expect(stand.state).toEqual(['stalled', 'stalled']);
    stand.say({ is: 'shown' });
    expect(stand.state).toEqual(['live', null]);
    stand.later(STALL_MS);
    expect(stand.state).toEqual(['live', null]);
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
    expect(stand.state).toEqual(['live', null]);
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
    expect(stand.state).toEqual(['live', null]);
  });
});

test('the router’s word on its camera counts more, but not more than a picture, and not for ever', () => {
  const said = (state: Told['state'], reachable = true): Told => ({ state, reachable });
  expect(shownAs('live', said('offline'))).toBe('live');
  expect(shownAs('connecting', said('offline'))).toBe('offline');
  expect(shownAs('offline', said('stalled'))).toBe('stalled');
  expect(shownAs('stalled', said('stalled', false))).toBe('stalled');
  expect(shownAs('connecting', said('offline', false))).toBe('connecting');
  // Live is never the router's word: it takes a picture.
  for (const state of ['connecting', 'stalled', 'offline'] as const) {
    expect(shownAs(state, said('live'))).toBe(state);
  }
  expect(isBroken(said('stalled'))).toBe(true);
  expect(isBroken(said('offline', false))).toBe(false);
  expect(isBroken(said(null))).toBe(false);
});
