// What the router tells a browser, and what is shown of it. Without browser, network and clock: the
// service worker (`src/sw.ts`) does what is said here.

/** As `core/events/src/push/notice.rs` writes it. */
export interface Notice {
  commune: string;
  /** One shown takes the place of the one with the same tag. */
  tag: string;
  title: string;
  body: string;
  language: string;
  severity: string;
  /** Goes on about what was told, or takes it back. */
  quiet: boolean;
  /** In milliseconds since 1970. */
  at: number;
  link: string;
  picture: string | null;
}

/** What is on screen already. */
export interface Before {
  title: string;
  body: string;
}

/** Of `NotificationOptions`, with what browsers have and TypeScript does not know. */
export interface Shown {
  body: string;
  tag: string;
  lang: string;
  timestamp: number;
  icon: string;
  image?: string;
  silent: boolean;
  renotify: boolean;
  requireInteraction: boolean;
  data: { link: string };
}

/** The form that is understood. */
const VERSION = 1;
/** Where a click leads if nothing else is said. */
const HOME = '/#/';

/** A notification of the router's; null if it is none, or one of a later router. */
export function read(text: string): Notice | null {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof said !== 'object' || said === null) return null;
  const { version, at, quiet, picture, ...texts } = said as Record<string, unknown>;
  if (version !== VERSION || typeof at !== 'number' || typeof quiet !== 'boolean') return null;
  const line = (name: string): string | null => {
    const text = texts[name];
    return typeof text === 'string' ? text : null;
  };
  const [commune, tag, title] = [line('commune'), line('tag'), line('title')];
  const [body, language, severity] = [line('body'), line('language'), line('severity')];
  if (commune === null || tag === null || title === null || body === null) return null;
  return {
    commune,
    tag,
    title,
    body,
    language: language ?? 'vi',
    severity: severity ?? 'warning',
    quiet,
    at,
    link: own(line('link')) ?? HOME,
    picture: own(picture),
  };
}

/** An address of ours, or nothing: a notification leads nowhere else. */
function own(link: unknown): string | null {
  return typeof link === 'string' && /^\/(?![/\\])/.test(link) ? link : null;
}

/** What is shown, in place of what may be shown of the same. */
export function shown(notice: Notice | null, before: readonly Before[]): [string, Shown] {
  const base = { icon: '/icon.svg', silent: false, renotify: false, requireInteraction: false };
  // Something has to be shown for everything that is told, also for what is not understood.
  if (!notice) {
    const unknown = { body: '', tag: 'taimat', lang: 'vi', timestamp: 0, data: { link: HOME } };
    return ['Taimat', { ...base, ...unknown }];
  }
  const { title, body, tag, language, at, picture, link, quiet, severity } = notice;
  // The router tells something twice rather than not at all; it is heard once.
  const same = before.some((one) => one.title === title && one.body === body);
  const options: Shown = {
    ...base,
    body,
    tag,
    lang: language,
    timestamp: at,
    silent: quiet || same,
    renotify: !quiet && !same,
    // An alarm stays until somebody has seen it.
    requireInteraction: !quiet && severity === 'alarm',
    data: { link },
  };
  return [title, picture === null ? options : { ...options, image: picture }];
}

/** A page of ours, as the service worker sees it. */
export interface Page {
  url: string;
  visibilityState: string;
  focused: boolean;
}

/** Whether somebody sees a page of ours: it shows by itself what happens. */
export function isSeen(pages: readonly Page[]): boolean {
  return pages.some(({ visibilityState }) => visibilityState === 'visible');
}

/** The page that a click leads to: the one that was used last, of those that are in sight first. */
export function pageFor<P extends Page>(pages: readonly P[]): P | null {
  const seen = pages.filter(({ visibilityState }) => visibilityState === 'visible');
  return pages.find(({ focused }) => focused) ?? seen[0] ?? pages[0] ?? null;
}
