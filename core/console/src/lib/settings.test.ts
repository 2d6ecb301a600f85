import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Setting, settings } from './settings';

const plugins = new URL('../../../../plugins/', import.meta.url);
const own = (plugin: string): Setting[] =>
  settings(JSON.parse(readFileSync(new URL(`${plugin}/settings.schema.json`, plugins), 'utf8')));
const find = (list: Setting[], name: string): Setting | undefined => list.find((s) => s.name === name);

test('every setting of our own plugins has a line with a kind or a choice', () => {
  for (const plugin of readdirSync(plugins)) {
    const list = own(plugin);
    expect(list.length, plugin).toBeGreaterThan(0);
    for (const one of list) expect(one.kind !== 'any' || one.choices.length > 0, one.name).toBe(true);
  }
});

test('bounds, defaults, choices, what has to be there, and what lies within lists', () => {
  const line = own('detect-line');
  expect(find(line, 'sensitivity')).toMatchObject({ kind: 'number', least: 0, most: 1, usual: '0.5' });
  expect(find(line, 'lines[].name')).toMatchObject({ kind: 'string', required: true });
  expect(find(line, 'lines[].from')).toMatchObject({ kind: 'array', required: true });
  expect(find(line, 'lines[].direction')).toMatchObject({
    choices: ['"any"', '"left-to-right"', '"right-to-left"'],
    usual: '"any"',
    required: false,
  });
  expect(find(own('policy-quiet-hours'), 'tell')?.usual).toBe('["tag:duty"]');
});

test('what an author says of it is told', () => {
  const schema = {
    properties: { a: { title: 'Height', description: 'In metres.', const: { b: [1, 's'] } } },
  };
  expect(settings(schema)).toMatchObject([{ about: 'Height. In metres.', choices: ['{ b = [1, "s"] }'] }]);
});

test('a schema of a stranger has an end', () => {
  expect(settings(null)).toEqual([]);
  expect(settings(true)).toEqual([]);
  expect(settings({ properties: [1] })).toEqual([]);
  const round = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } };
  expect(settings(round)).toEqual([]);
  const deep = { properties: { a: { $ref: '#' } } };
  expect(settings(deep).length).toBeLessThan(10);
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`s${n}`, { type: 'string' }]));
  expect(settings({ properties: wide })).toHaveLength(100);
  const long = settings({ properties: { ['x'.repeat(9999)]: { description: 'y'.repeat(9999) } } });
  expect(long[0]?.name.length).toBeLessThan(500);
  expect(long[0]?.about.length).toBeLessThan(500);
  expect(settings({ properties: { a: { $ref: '#/__proto__' } } })).toMatchObject([{ kind: 'any' }]);
});
