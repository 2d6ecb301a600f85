import { expect, test } from 'vitest';
import { actOf } from './keys';

const press = (key: string, shiftKey = false) => actOf({ key, shiftKey });

test('keys of who has looked at recordings before', () => {
  expect(press(' ')).toEqual({ act: 'toggle' });
  expect(press('ArrowLeft')).toEqual({ act: 'move', by: -1000 });
  expect(press('ArrowRight', true)).toEqual({ act: 'move', by: 60_000 });
  expect(press(',')).toEqual({ act: 'step', by: -1 });
  expect(press('.')).toEqual({ act: 'step', by: 1 });
  expect(['j', 'k', 'l', 'L'].map((key) => press(key)?.act)).toEqual(['slower', 'pause', 'faster', 'faster']);
  expect(press('End')).toEqual({ act: 'live' });
});

test('keys of the rest of the page are not taken', () => {
  for (const key of ['Escape', 'Enter', 'e', 'p', 't', 'd', 'f', 'm', 'r', 's', '?', '1', 'Tab', 'ArrowUp']) {
    expect(press(key), key).toBeNull();
  }
});
