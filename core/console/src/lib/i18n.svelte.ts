// Which language the console speaks, and how its texts are found. The texts are in `texts/`, one
// file a language; nothing is written outside them. A test of the router's (`core/api/tests`) holds
// them against the words that the API sends.

import { clockTime, list } from './format';
import type { Part, Sentence } from './story';
import { en, type Word } from './texts/en';
import { vi } from './texts/vi';

export type { Word };

const catalogue = { vi, en };
export type Language = keyof typeof catalogue;

function initial(): Language {
  const stored = localStorage.getItem('taimat.language');
  if (stored === 'vi' || stored === 'en') return stored;
  return navigator.language.startsWith('en') ? 'en' : 'vi';
}

/** How a commune says what is in a sentence. */
export interface Manner {
  /** Its time zone. */
  zone: string;
  /** The name of a target for people. */
  title: (target: string) => string;
}

class I18n {
  language = $state<Language>(initial());

  /** The text for a word, its {parts} filled in. */
  t = (word: Word, parts: Record<string, string | number> = {}): string =>
    catalogue[this.language][word].replace(/\{(\w+)\}/g, (_, name: string) => String(parts[name] ?? ''));

  /** A sentence, as a commune says it. */
  say = ({ word, parts = {} }: Sentence, { zone, title }: Manner): string => {
    const said = (part: Part): string | number => {
      if (typeof part !== 'object') return part;
      if ('time' in part) return clockTime(part.time / 1e6, zone, this.language);
      if ('word' in part) return this.t(part.word);
      return list(part.targets.map(title), this.language);
    };
    return this.t(word, Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, said(part)])));
  };

  /** The sentence for a cause from the API. */
  cause = (cause: string | null | undefined): string =>
    this.known('cause', cause ?? 'other') ?? this.t('cause_other');

  /** The sentence for a kind of problem from the API; null is that there was no answer. */
  problem = (kind: string | null): string =>
    this.known('problem', kind ?? 'noAnswer') ?? this.t('problem_other');

  /** What a camera does that no standard says, and what to do about it. */
  quirk = (quirk: string): string => this.known('quirk', quirk) ?? quirk;

  /** Why a camera has no sound. */
  noSound = (reason: string): string => this.known('no_sound', reason) ?? reason;

  /** Why nothing was recorded. */
  gap = (reason: string): string => this.known('gap', reason) ?? this.t('gap_unknown');

  /** What is recorded of a camera. */
  mode = (mode: string): string => this.known('mode', mode) ?? mode;

  /** The way that a camera's media takes. */
  transport = (way: string): string => this.known('transport', way) ?? way;

  /** What a detection's kind is called; one that only its author knows is shown as it is. */
  kind = (kind: string): string => this.known('kind', kind) ?? kind;

  /** Kinds that have a name, in the order of their names, and these. */
  kinds = (more: string[] = []): [string, string][] => {
    const named = Object.keys(en).flatMap((key) => /^kind_(.+)$/.exec(key)?.[1] ?? []);
    const all = [...new Set([...named, ...more])].map((kind): [string, string] => [kind, this.kind(kind)]);
    const { compare } = new Intl.Collator(this.language);
    return all.sort(([, a], [, b]) => compare(a, b));
  };

  toggle = (): void => {
    this.language = this.language === 'vi' ? 'en' : 'vi';
    localStorage.setItem('taimat.language', this.language);
    document.documentElement.lang = this.language;
  };

  /** The text for a word of the API, unless the page is older than the word. */
  private known(subject: string, word: string): string | undefined {
    const key = `${subject}_${word}`;
    return Object.hasOwn(en, key) ? this.t(key as Word) : undefined;
  }
}

export const i18n = new I18n();
document.documentElement.lang = i18n.language;
