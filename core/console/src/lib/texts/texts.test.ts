import { expect, test } from 'vitest';
import { en } from './en';
import { vi } from './vi';

/** Names, and words that are the same in both languages. */
const NAMES = new Set(['camera', 'stat_source', 'filter_camera']);
const isName = (key: string): boolean => NAMES.has(key) || key.startsWith('transport_');

const texts = (catalogue: Record<string, string>): [string, string][] => Object.entries(catalogue);
const parts = (text: string | undefined): string[] =>
  (text?.match(/\{\w*\}/g) ?? []).sort((a, b) => a.localeCompare(b));

test('both languages have the same texts', () => {
  expect(Object.keys(vi).sort()).toEqual(Object.keys(en).sort());
});

test.each([
  ['en', en],
  ['vi', vi],
])('%s: no text is empty, or has space about it', (_language, catalogue) => {
  const wrong = texts(catalogue).filter(([, text]) => text === '' || text !== text.trim());
  expect(wrong).toEqual([]);
});

test('the same parts are filled in', () => {
  const vietnamese: Record<string, string> = vi;
  const wrong = texts(en).filter(([key, text]) => parts(text).join() !== parts(vietnamese[key]).join());
  expect(wrong).toEqual([]);
});

test('no Vietnamese text is the English one', () => {
  const english: Record<string, string> = en;
  const same = texts(vi).filter(([key, text]) => text === english[key]);
  expect(same.map(([key]) => key).filter((key) => !isName(key))).toEqual([]);
});

test('what passes for a name is one', () => {
  const english: Record<string, string> = en;
  const same = new Set(texts(vi).flatMap(([key, text]) => (text === english[key] ? [key] : [])));
  expect([...NAMES].filter((key) => !same.has(key))).toEqual([]);
});
