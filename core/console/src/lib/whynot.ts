// Why somebody was told of an event, or was not: read from its story. Without browser, network and
// clock.

import type { components } from './api';
import { browserOf, isSevere, type LogEntry } from './eventlist';
import { BUILT_IN, ruler, type Delivery, type Part, type Sentence, type Story } from './story';

type Schemas = components['schemas'];
export type TargetsView = Schemas['TargetsView'];
type Ruled = Extract<LogEntry, { what: 'ruled' }>;
type NotTold = Schemas['NotTold'];

/** What is known beside the story. */
export interface Around {
  /** Who can be told; null while that is not known. */
  targets: TargetsView | null;
  /** By the router's clock, in microseconds since 1970. */
  now: number;
}

/** A target's name for people; as the file calls it where it is not known. */
export function titleOf(targets: TargetsView | null, name: string): string {
  const of = browserOf(name);
  const target = targets?.targets.find((target) => target.name === (of ?? name));
  if (of === null || !target) return target?.title ?? name;
  // One that asked to be told no more has only its number.
  const browser = target.browsers.find((browser) => browser.name === name);
  return `${target.title} (${browser?.who ?? name.slice(of.length + 1)})`;
}

/** What there is to say to a target; to nobody in particular where it is null. */
export interface Because {
  target: string | null;
  sentences: Sentence[];
}

/** The alerter that is built in: it writes into the router's log. */
export const LOG_ALERTER = 'log';
/** The other one: it tells the browsers that asked. */
export const PUSH_ALERTER = 'push';

/** Messages that are due are on their way within so long, if nothing holds them back. */
const SOON = 5_000_000;

const at = (time: number): Part => ({ time });
const isRuled = (entry: LogEntry): entry is Ruled => entry.what === 'ruled';

/** One answer to each target that the story knows, and one to all others. */
export function because(story: Story, around: Around): Because[] {
  const rulings = story.log.filter(isRuled);
  const named = new Set([
    ...story.deliveries.map(({ target }) => target),
    ...story.log.flatMap((entry) => ('target' in entry ? [entry.target] : [])),
    ...rulings.flatMap(({ tell = [], not_told = [] }) => [...tell, ...not_told.map((one) => one.target)]),
  ]);
  // What is said of its browsers is said of the target.
  for (const name of [...named]) named.delete(browserOf(name) ?? '');
  const answers = [...named].map((target) => ({ target, sentences: toTarget(target, story, around) }));
  const all = around.targets?.targets.map(({ name }) => name) ?? [];
  const meant = new Set([...named].map((name) => browserOf(name) ?? name));
  const others = all.filter((name) => !meant.has(name));
  // Who was tried by a message that was made for that: nobody else was meant.
  const tested = story.log.some(({ what }) => what === 'tested');
  if (named.size > 0 && (others.length === 0 || tested)) return answers;
  const last = rulings.at(-1);
  const sentences = named.size > 0 ? toOthers(others, last) : toAll(story, last, around);
  if (typeof last?.again === 'number' && last.again > around.now) {
    sentences.push({ word: 'why_again', parts: { time: at(last.again) } });
  }
  return [...answers, { target: null, sentences }];
}

/** To who was not named where somebody was. */
function toOthers(others: string[], last: Ruled | undefined): Sentence[] {
  return [{ word: 'why_others', parts: { targets: { targets: others }, by: ruler(last?.by ?? BUILT_IN) } }];
}

/** Where nobody was named. */
function toAll(story: Story, last: Ruled | undefined, { targets }: Around): Sentence[] {
  if (targets?.targets.length === 0) return [{ word: 'why_noTargets' }];
  if (!last) {
    const policy = targets?.policy;
    return [policy ? { word: 'why_policySilent', parts: { policy } } : { word: 'why_notRuled' }];
  }
  const by = ruler(last.by);
  const sentences: Sentence[] = [];
  if (last.suppressed) {
    sentences.push({ word: 'why_suppressed', parts: { by, reason: last.suppressed } });
  } else if (byDefault(last, targets) && !isSevere(story.event, 'warning')) {
    sentences.push({ word: 'why_noRules' });
  } else sentences.push({ word: 'why_nobody', parts: { by } });
  if (last.instead_of) sentences.push({ word: 'why_instead', parts: { error: last.instead_of } });
  return sentences;
}

/** Where the file has no rules, all are told of what is serious. */
function byDefault(last: Ruled, targets: TargetsView | null): boolean {
  return targets?.rules === 0 && (targets.policy === null || Boolean(last.instead_of));
}

function toTarget(target: string, story: Story, around: Around): Sentence[] {
  const deliveries = story.deliveries.filter((delivery) => delivery.target === target);
  const last = deliveries.at(-1);
  const refused = refusal(target, story);
  if (!last) {
    if (refused) return notTold(refused.one);
    const taken = reasonOf('taken-back', story, ({ target: whom }) => whom === target);
    // Ruled a moment ago: how it stands is not known to the page yet.
    return [taken === null ? { word: 'why_soon' } : { word: 'why_takenBack', parts: { reason: taken } }];
  }
  const sentences = ofDelivery(last, story, around);
  const before = deliveries.findLast(({ state }) => state === 'delivered');
  if (before && before !== last) {
    sentences.unshift({ word: 'why_deliveredBefore', parts: { time: at(before.ended ?? before.made) } });
  } else if (refused && refused.at > last.made && last.state === 'delivered') {
    sentences.push({ word: 'why_notAgain' }, ...notTold(refused.one));
  }
  return sentences;
}

/** The newest ruling that named it and did not have it told. */
function refusal(target: string, { log }: Story): { one: NotTold; at: number } | null {
  for (const entry of log.filter(isRuled).reverse()) {
    if (entry.tell?.includes(target)) return null;
    const one = entry.not_told?.find((other) => other.target === target);
    if (one) return { one, at: entry.at };
  }
  return null;
}

function notTold({ reason, silence }: NotTold): Sentence[] {
  if (reason !== 'silenced') return [{ word: `why_${reason}` }];
  // It was taken back before anybody looked at it: who it was is not known any more.
  if (!silence) return [{ word: 'why_silenced' }];
  const parts = { who: silence.who, time: at(silence.until) };
  if (silence.why) return [{ word: 'why_silencedFor', parts: { ...parts, reason: silence.why } }];
  return [{ word: 'why_silencedBy', parts }];
}

function ofDelivery(delivery: Delivery, story: Story, { targets, now }: Around): Sentence[] {
  const { number, target, made, ended, next, attempts: n, error } = delivery;
  const known = targets?.targets.find(({ name }) => name === target);
  const its = (what: 'skipped' | 'taken-back'): string =>
    reasonOf(what, story, (entry) => entry.delivery === number) ?? '';
  switch (delivery.state) {
    case 'delivered':
      return [{ word: 'why_delivered', parts: { time: at(ended ?? made) } }];
    case 'failed': {
      const failed: Sentence = {
        word: 'why_failed',
        parts: { n, error: error ?? '', time: at(ended ?? made) },
      };
      return known?.gone ? [failed, { word: 'why_gone' }] : [failed];
    }
    case 'skipped':
      if (browserOf(target)) return [{ word: 'why_browserGone' }];
      return [{ word: 'why_skipped', parts: { reason: its('skipped') } }];
    case 'taken-back':
      return [{ word: 'why_takenBack', parts: { reason: its('taken-back') } }];
    case 'waiting':
      if (error !== null) {
        const parts = { n, error, time: at(next ?? now) };
        return [{ word: n === 0 ? 'why_notSent' : 'why_trying', parts }];
      }
      if (n === 0 && next !== null && next > now) return [{ word: 'why_waits', parts: { time: at(next) } }];
      if (known && known.waiting > 1 && now - made > SOON) {
        return [{ word: 'why_queued', parts: { n: known.waiting } }];
      }
      return [{ word: 'why_soon' }];
  }
}

type Reasoned = Extract<LogEntry, { what: 'skipped' | 'taken-back' }>;

/** The newest reason of that kind in the story. */
function reasonOf(what: Reasoned['what'], { log }: Story, is: (entry: Reasoned) => boolean): string | null {
  const found = log.findLast((entry): entry is Reasoned => entry.what === what && is(entry));
  return found?.reason ?? null;
}
