// Which events a list shows and in which order, what an address says of it, what stands out. Without
// browser, network and clock.

import type { components } from './api';
import { shownThere } from './zone';

type Schemas = components['schemas'];
export type RouterEvent = Schemas['Event'];
export type EventAnswer = Schemas['EventAnswer'];
export type AnswerWord = Schemas['AnswerWord'];
export type LogEntry = Schemas['LogEntry'];
export type Severity = Schemas['Severity'];
export type EventState = Schemas['EventState'];

/** The least first. */
export const SEVERITIES = ['info', 'notice', 'warning', 'alarm'] as const satisfies Severity[];
export const STATES = ['unanswered', 'open', 'answered', 'false-alarm'] as const satisfies EventState[];

/** In place of a plugin's name where the router itself saw something. */
export const HOUSE = 'taimat';

/** Which events are wanted. What is empty does not matter. */
export interface Filters {
  camera: string;
  kind: string;
  /** At least. */
  severity: Severity | '';
  state: EventState | '';
  text: string;
}

export const NO_FILTERS: Filters = { camera: '', kind: '', severity: '', state: '', text: '' };

function oneOf<T extends string>(all: readonly T[], text: string): T | '' {
  return all.find((one) => one === text) ?? '';
}

/** The filters that an address has behind its `?`; what is none is left out. */
export function filtersOf(search: string): Filters {
  const said = new URLSearchParams(search);
  const text = (name: string): string => (said.get(name) ?? '').slice(0, 200);
  return {
    camera: text('camera'),
    kind: text('kind'),
    severity: oneOf(SEVERITIES, text('severity')),
    state: oneOf(STATES, text('state')),
    text: text('text'),
  };
}

/** As an address has them, with its `?`. The router asks for the same words. */
export function searchOf(filters: Filters, more: Record<string, string | number> = {}): string {
  const wanted: Record<string, string | number> = { ...filters, ...more };
  const all = Object.entries(wanted).filter(([, value]) => value !== '');
  const search = new URLSearchParams(all.map(([name, value]) => [name, String(value)])).toString();
  return search && `?${search}`;
}

export function isSevere(event: RouterEvent, least: Severity): boolean {
  return SEVERITIES.indexOf(event.severity) >= SEVERITIES.indexOf(least);
}

/** Whether an event is wanted, as far as the page can tell: words are searched by the router alone. */
export function matches(event: RouterEvent, filters: Filters): boolean {
  if (filters.camera && event.camera !== filters.camera) return false;
  if (filters.kind && event.kind !== filters.kind) return false;
  if (filters.severity && !isSevere(event, filters.severity)) return false;
  switch (filters.state) {
    case '':
      return true;
    case 'open':
      return event.ended === null;
    case 'unanswered':
      return event.answered === null;
    case 'answered':
      return event.answered !== null;
    case 'false-alarm':
      return event.answered?.false_alarm === true;
  }
}

/** Both together, each event once as it was last, the newest first, no more than `most`. */
export function merged(
  list: readonly RouterEvent[],
  more: readonly RouterEvent[],
  most: number,
): RouterEvent[] {
  const all = new Map(list.map((event) => [event.id, event]));
  for (const event of more) {
    const known = all.get(event.id);
    if (!known || event.revision >= known.revision) all.set(event.id, event);
  }
  return [...all.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, most);
}

/** The event that is `step` further in the list; at its ends it stays. Without one it is the first. */
export function moved(ids: readonly string[], from: string | null, step: number): string | null {
  const at = from === null ? -1 : ids.indexOf(from);
  const to = at < 0 ? 0 : Math.max(0, Math.min(ids.length - 1, at + step));
  return ids[to] ?? null;
}

/** The cursor in a list that has changed: if its event is gone, it is on the one that took its place. */
export function kept(
  before: readonly string[],
  now: readonly string[],
  cursor: string | null,
): string | null {
  if (cursor === null || now.includes(cursor)) return cursor;
  const there = new Set(now);
  const after = before.slice(before.indexOf(cursor) + 1).find((id) => there.has(id));
  return after ?? now.at(-1) ?? null;
}

/** As it will be with this answer, until the router says so itself. */
export function answeredBy(answer: AnswerWord, who: string, at: number): EventAnswer | null {
  return answer === 'taken-back' ? null : { who, at, false_alarm: answer === 'false-alarm' };
}

/** Somebody should look, and nobody has; those that nobody wants to be told of do not. */
export function standsOut(event: RouterEvent): boolean {
  return isSevere(event, 'warning') && event.answered === null && !event.silenced;
}

/** The most severe event that stands out at each camera, by `commune/camera`; of several the newest. */
export function worstAt(events: readonly RouterEvent[]): Map<string, RouterEvent> {
  const worst = new Map<string, RouterEvent>();
  for (const event of events) {
    if (event.camera === null || event.ended !== null || !standsOut(event)) continue;
    const key = `${event.commune}/${event.camera}`;
    const known = worst.get(key);
    if (!known || (isSevere(event, known.severity) && known.severity !== event.severity)) {
      worst.set(key, event);
    }
  }
  return worst;
}

/** When an event was opened, in ms since 1970: its name begins with it. */
export function openedAt(id: string): number {
  const digits = '0123456789abcdefghjkmnpqrstvwxyz';
  return Array.from(id.slice(0, 10)).reduce(
    (time, digit) => time * 32 + Math.max(0, digits.indexOf(digit)),
    0,
  );
}

/** What the router saw of a camera, `profile: cause: detail`: its cause, and the detail. */
export function causeOf(event: RouterEvent): { cause: string; detail: string } | null {
  if (event.plugin !== HOUSE || event.camera === null) return null;
  const [, cause, detail] = /^(?:main|sub): ([a-z_]+): (.*)$/s.exec(event.best.text) ?? [];
  return cause === undefined ? null : { cause, detail: detail ?? '' };
}

/** A part of an event's story: an entry, or several of the same sort in a row. */
export interface Chapter {
  entry: LogEntry;
  times: number;
  /** Others of the same target that the same is said of. */
  targets?: string[];
}

/** The target that a browser belongs to, if it is the name of one: `phones/17`. */
export function browserOf(name: string): string | null {
  const [target, number] = name.split('/');
  return target && number ? target : null;
}

/** The story without its repetitions: an event that goes on for hours is seen again and again. */
export function chapters(log: readonly LogEntry[]): Chapter[] {
  const chapters: Chapter[] = [];
  for (const entry of log) {
    const last = chapters.at(-1);
    if (last && entry.what === 'updated' && last.entry.what === 'updated') {
      chapters[chapters.length - 1] = { entry, times: last.times + 1 };
    } else if (last && isSameTelling(last.entry, entry)) {
      last.targets = [...(last.targets ?? []), entry.target];
    } else chapters.push({ entry, times: 1 });
  }
  return chapters;
}

type Delivered = Extract<LogEntry, { what: 'delivered' }>;

/** Another browser of the same target has been told: that is said once of all of them. */
function isSameTelling(last: LogEntry, entry: LogEntry): entry is Delivered {
  if (last.what !== 'delivered' || entry.what !== 'delivered') return false;
  const target = browserOf(entry.target);
  return target !== null && target === browserOf(last.target) && last.attempt === entry.attempt;
}

/** How long nobody wants to be told. */
export const SPANS = ['hour', 'shift', 'morning', 'week'] as const;
export type Span = (typeof SPANS)[number];

const HOUR_MS = 3_600_000;

/** When a silence that begins at `now` (ms since 1970) ends, in ms since 1970. */
export function silenceEnds(span: Span, now: number, zone: string): number {
  if (span === 'hour') return now + HOUR_MS;
  if (span === 'shift') return now + 8 * HOUR_MS;
  if (span === 'week') return now + 7 * 24 * HOUR_MS;
  // Tomorrow at six, by the clocks there.
  const there = shownThere(now, zone);
  const wanted = Math.floor(there / (24 * HOUR_MS)) * 24 * HOUR_MS + 30 * HOUR_MS;
  const guess = now + (wanted - there);
  // Clocks may be changed in between.
  return guess + (wanted - shownThere(guess, zone)) - (guess % 1000);
}
