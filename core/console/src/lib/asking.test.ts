import { expect, test } from 'vitest';
import { leastOf, standing, type Around } from './asking';
import { asked, asText } from './wanted';

const AROUND: Around = {
  secure: true,
  supported: true,
  permission: 'default',
  router: { target: 'browsers', public_key: 'BP4z', policy: null },
  asked: false,
};
const given = (more: Partial<Around>): Around => ({ ...AROUND, ...more });

test('what is in the way is said, and what comes first first', () => {
  const none = { target: null, public_key: null, policy: null };
  expect(standing(given({ secure: false, supported: false }))).toBe('insecure');
  expect(standing(given({ supported: false }))).toBe('unsupported');
  expect(standing(given({ router: null }))).toBe('unknown');
  expect(standing(given({ router: none, permission: 'denied' }))).toBe('notOffered');
  expect(standing(given({ permission: 'denied' }))).toBe('denied');
});

test('it is on while it is asked for and allowed', () => {
  expect(standing(AROUND)).toBe('canAsk');
  expect(standing(given({ permission: 'granted' }))).toBe('canAsk');
  expect(standing(given({ permission: 'granted', asked: true }))).toBe('on');
  // Asked for once, and the browser was set back since.
  expect(standing(given({ asked: true }))).toBe('canAsk');
  expect(standing(given({ asked: true, permission: 'denied' }))).toBe('denied');
});

test('a severity that is none is the usual one', () => {
  expect(['alarm', 'notice', 'loud', undefined].map(leastOf)).toEqual([
    'alarm',
    'notice',
    'warning',
    'warning',
  ]);
});

test('keys are compared as they are written', () => {
  const bytes = Uint8Array.from([4, 254, 255, 62, 63]).buffer;
  expect(asText(bytes)).toBe('BP7_Pj8');
  expect(asText(null)).toBe('');
});

test('a browser that does not say where it is told is not asked for', () => {
  const wanted = {
    key: 'BP4z',
    who: 'An',
    wants: { language: 'vi' as const, at_least: 'warning' as const, cameras: [], kinds: [] },
  };
  const keys = { p256dh: 'BCVx', auth: 'BTBZ' };
  const { who, wants } = wanted;
  expect(asked({ endpoint: 'https://push.example', keys }, wanted)).toEqual({
    endpoint: 'https://push.example',
    keys,
    who,
    wants,
  });
  expect(asked({ endpoint: 'https://push.example', keys: { auth: 'BTBZ' } }, wanted)).toBeNull();
  expect(asked({}, wanted)).toBeNull();
});
