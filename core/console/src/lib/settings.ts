// What a plugin's settings may be, from the JSON Schema that it gives: a list that people can read. The
// schema is a stranger's, so that what is read of it has an end.

export interface Setting {
  /** As it is written in `commune.toml`, the parts of lists and tables with it: `lines[].name`. */
  readonly name: string;
  /** What its author says of it. */
  readonly about: string;
  readonly kind: 'number' | 'integer' | 'string' | 'boolean' | 'array' | 'object' | 'any';
  /** What it can be, where that is a choice. */
  readonly choices: readonly string[];
  readonly least: number | null;
  readonly most: number | null;
  /** What holds where nothing is said, as TOML would have it. */
  readonly usual: string | null;
  readonly required: boolean;
}

const MOST_SETTINGS = 100;
const DEEPEST = 4;
const LONGEST = 400;

type Schema = Record<string, unknown>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const number = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const cut = (text: string): string => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

/** A value as TOML writes it, on one line. */
function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(', ')}]`;
  if (!isSchema(value)) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, each]) => `${key} = ${written(each)}`);
  return `{ ${entries.join(', ')} }`;
}

/** What `$ref` leads to within the schema; nothing where it leads elsewhere or in a circle. */
function followed(root: Schema, schema: unknown): Schema | null {
  let at = schema;
  for (let steps = 0; steps < DEEPEST; steps++) {
    if (!isSchema(at)) return null;
    if (typeof at.$ref !== 'string') return at;
    if (!at.$ref.startsWith('#/')) return null;
    const names = at.$ref.slice(2).split('/');
    const keys = names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'));
    at = keys.reduce<unknown>(
      (inside, key) => (isSchema(inside) && Object.hasOwn(inside, key) ? inside[key] : null),
      root,
    );
  }
  return null;
}

function kind(schema: Schema): Setting['kind'] {
  const type = Array.isArray(schema.type) ? (schema.type as unknown[])[0] : schema.type;
  switch (type) {
    case 'number':
    case 'integer':
    case 'string':
    case 'boolean':
    case 'array':
    case 'object':
      return type;
    default:
      return 'any';
  }
}

function setting(name: string, schema: Schema, required: boolean): Setting {
  const choices = Array.isArray(schema.enum) ? schema.enum : 'const' in schema ? [schema.const] : [];
  const about = [schema.title, schema.description].filter((text) => typeof text === 'string');
  return {
    name,
    about: cut(about.join('. ')),
    kind: kind(schema),
    choices: choices.slice(0, MOST_SETTINGS).map((choice) => cut(written(choice))),
    least: number(schema.minimum) ?? number(schema.exclusiveMinimum),
    most: number(schema.maximum) ?? number(schema.exclusiveMaximum),
    usual: 'default' in schema ? cut(written(schema.default)) : null,
    required,
  };
}

/** The settings that a schema names, each with those within it behind it. */
export function settings(schema: unknown): Setting[] {
  const list: Setting[] = [];
  const root = isSchema(schema) ? schema : {};
  const add = (within: string, given: unknown, depth: number): void => {
    const table = followed(root, given);
    if (!table || depth > DEEPEST) return;
    const required = Array.isArray(table.required) ? (table.required as unknown[]) : [];
    for (const [key, value] of isSchema(table.properties) ? Object.entries(table.properties) : []) {
      if (list.length >= MOST_SETTINGS) return;
      const its = followed(root, value) ?? {};
      const name = within === '' ? cut(key) : `${within}.${cut(key)}`;
      list.push(setting(name, its, required.includes(key)));
      if (its.properties) add(name, its, depth + 1);
      else if (its.items) add(`${name}[]`, its.items, depth + 1);
    }
  };
  add('', root, 0);
  return list;
}
