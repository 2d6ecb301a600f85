// An event's story in sentences, before they are put into a language. Without browser, network and
// clock.

import type { components } from './api';
import { browserOf, HOUSE, type Chapter, type LogEntry } from './eventlist';
import type { Word } from './texts/en';

type Schemas = components['schemas'];
export type Story = Schemas['Story'];
export type Delivery = Schemas['Delivery'];

/** What is filled into a sentence: as it is, or as the language and the commune say it. */
export type Part =
  | string
  | number
  /** In microseconds since 1970. */
  | { time: number }
  | { word: Word }
  | { targets: readonly string[] };

export interface Sentence {
  word: Word;
  parts?: Record<string, Part>;
}

type Ruled = Extract<LogEntry, { what: 'ruled' }>;

/** What rules where no policy does, as the story calls it. */
export const BUILT_IN = 'rules';

/** Who ruled. */
export function ruler(by: string): Part {
  return by === BUILT_IN ? { word: 'ruler_rules' } : by;
}

/** What happened, and what else there is to say of it. */
type Sentences = [Sentence, ...Sentence[]];

function ruled(entry: Ruled): Sentences {
  const { tell = [], not_told = [], notes = [], suppressed, severity, instead_of, again } = entry;
  const sentences: Sentences = [decision(entry, tell, suppressed ?? null)];
  const add = (word: Word, parts: Record<string, Part>): number => sentences.push({ word, parts });
  if (instead_of) add('ruled_instead', { error: instead_of });
  if (severity) add('ruled_severity', { severity: { word: `severity_${severity}` } });
  for (const { target, reason, silence } of not_told) {
    const parts = { target: { targets: [target] } };
    if (silence) add('notTold_silencedBy', { ...parts, who: silence.who, time: { time: silence.until } });
    else add(`notTold_${reason}`, parts);
  }
  for (const { key, value } of notes) add('ruled_note', { key, value });
  if (typeof again === 'number') add('ruled_again', { time: { time: again } });
  return sentences;
}

function decision({ by, why }: Ruled, tell: readonly string[], suppressed: string | null): Sentence {
  const parts = { by: ruler(by), why: { word: `ruled_${why}` } as const };
  if (tell.length > 0) return { word: 'story_ruled', parts: { ...parts, targets: { targets: tell } } };
  if (suppressed !== null) return { word: 'story_ruledQuiet', parts: { ...parts, reason: suppressed } };
  return { word: why === 'opened' ? 'story_ruledNobody' : 'story_ruledNoMore', parts };
}

/** A part of the story. What the page does not know yet is said as the router calls it. */
export function told({ entry, times, targets = [] }: Chapter, plugin: string): Sentences {
  const one = (word: Word, parts: Record<string, Part> = {}): Sentences => [{ word, parts }];
  const whom = (target: string): Part => ({ targets: [target] });
  switch (entry.what) {
    case 'opened':
      return plugin === HOUSE ? one('story_openedHouse') : one('story_opened', { plugin });
    case 'updated':
      return times === 1 ? one('story_updated') : one('story_updatedTimes', { n: times });
    case 'closed':
      return one('story_closed');
    case 'answered':
      return one(entry.false_alarm ? 'story_falseAlarm' : 'story_answered', { who: entry.who });
    case 'reopened':
      return one('story_reopened', { who: entry.who });
    case 'commented':
      return one('story_commented', { who: entry.who });
    case 'assigned':
      return entry.to
        ? one('story_assigned', { who: entry.who, to: entry.to })
        : one('story_unassigned', { who: entry.who });
    case 'ruled':
      return ruled(entry);
    case 'composed': {
      const parts = { target: whom(entry.target), n: entry.messages };
      return one(entry.messages === 1 ? 'story_composed' : 'story_composedSeveral', parts);
    }
    case 'tried': {
      const { attempt: n, error } = entry;
      const parts = { target: whom(entry.target), n, error, time: { time: entry.again } };
      // Not even worded: its alerter does not answer.
      return one(n === 0 ? 'story_notSent' : 'story_tried', parts);
    }
    case 'delivered': {
      const parts = { target: { targets: [entry.target, ...targets] }, n: entry.attempt };
      return one(entry.attempt > 1 ? 'story_deliveredAt' : 'story_delivered', parts);
    }
    case 'undelivered':
      return one('story_undelivered', { target: whom(entry.target), error: entry.error });
    case 'skipped':
      // A browser has no alerter that had nothing to say.
      if (browserOf(entry.target)) return one('story_browserGone', { target: whom(entry.target) });
      return one('story_skipped', { target: whom(entry.target), reason: entry.reason });
    case 'taken-back':
      return one('story_takenBack', { target: whom(entry.target), reason: entry.reason });
    case 'retried':
      return one('story_retried', { who: entry.who, target: whom(entry.target) });
    case 'tested':
      return one('story_tested', { who: entry.who, target: whom(entry.target) });
    default:
      return one('story_other', { what: (entry as { what: string }).what });
  }
}

/** Whether a target is told something else after it, or how that stands is another. */
export function isTelling({ what }: LogEntry): boolean {
  return TELLING.has(what);
}

const TELLING: ReadonlySet<LogEntry['what']> = new Set([
  'ruled',
  'composed',
  'tried',
  'delivered',
  'undelivered',
  'skipped',
  'taken-back',
  'retried',
  'tested',
] as const);

/** Both together, each entry once, in order: what was told while the story was asked for is part of it. */
export function joined(log: readonly LogEntry[], more: readonly LogEntry[]): LogEntry[] {
  const all = new Map([...log, ...more].map((entry) => [entry.seq, entry]));
  return [...all.values()].sort((a, b) => a.seq - b.seq);
}

/** Whether something should have happened by now that is not noted when it changes nothing. */
export function isDue(deliveries: readonly Delivery[], now: number): boolean {
  return deliveries.some(({ state, next }) => state === 'waiting' && next !== null && next <= now);
}

/** How it stands with a delivery, in a few words. */
export function standing({ state, attempts, error }: Delivery): Word {
  if (state === 'waiting' && (attempts > 0 || error !== null)) return 'delivery_trying';
  return `delivery_${state}`;
}
