import { expect, test } from 'vitest';
import { isSeen, pageFor, read, shown, type Notice, type Page } from './notice';

/** As `core/events/src/push/notice.rs` writes it. */
const SENT = {
  version: 1,
  commune: 'hoa-lac',
  tag: '01m8b2qnex50956mdjw56n5zqm',
  title: '⚠️ Đổ rác trái phép – Chợ, cổng 1',
  body: '22:38, độ tin cậy 90%\nPhường Hòa Lạc',
  language: 'vi',
  severity: 'warning',
  quiet: false,
  at: 1_803_915_485_000,
  link: '/#/event/hoa-lac/01m8b2qnex50956mdjw56n5zqm',
  picture: '/api/v1/communes/hoa-lac/events/01m8b2qnex50956mdjw56n5zqm/picture?marked=true',
};

const notice = (more: Partial<typeof SENT> = {}): Notice => {
  const found = read(JSON.stringify({ ...SENT, ...more }));
  if (!found) throw new Error('not read');
  return found;
};

const page = (visibilityState: string, focused = false): Page => ({
  url: 'https://taimat.example/#/',
  visibilityState,
  focused,
});

test('what the router tells is shown, with its picture, and leads to the event', () => {
  const [title, options] = shown(notice(), []);
  expect(title).toBe(SENT.title);
  expect(options).toMatchObject({
    body: SENT.body,
    tag: SENT.tag,
    image: SENT.picture,
    silent: false,
    renotify: true,
    requireInteraction: false,
    data: { link: SENT.link },
  });
  expect(shown(notice({ severity: 'alarm' }), [])[1].requireInteraction).toBe(true);
});

test('what is told twice is heard once, and what is new about it again', () => {
  const before = [{ title: SENT.title, body: SENT.body }];
  expect(shown(notice(), before)[1]).toMatchObject({ silent: true, renotify: false, tag: SENT.tag });
  const other = shown(notice({ title: '🚨 Đổ rác trái phép – Chợ, cổng 1' }), before)[1];
  expect(other).toMatchObject({ silent: false, renotify: true });
});

test('an end takes the place of what was told without a sound', () => {
  const [, options] = shown(notice({ quiet: true, severity: 'alarm' }), []);
  // Browsers refuse one that is silent and to be heard again.
  expect(options).toMatchObject({
    tag: SENT.tag,
    silent: true,
    renotify: false,
    requireInteraction: false,
  });
});

test('what is no notification of ours is shown as one without words', () => {
  for (const text of ['', 'null', '7', '{}', '{"version":2}', JSON.stringify({ ...SENT, title: 3 })]) {
    expect(read(text)).toBeNull();
  }
  expect(shown(null, [])).toMatchObject(['Taimat', { data: { link: '/#/' } }]);
});

test('a click leads nowhere else', () => {
  for (const link of [
    'https://elsewhere.example/',
    '//elsewhere.example',
    '/\\elsewhere',
    'javascript:x',
    '',
  ]) {
    expect(notice({ link }).link).toBe('/#/');
    expect(notice({ picture: link }).picture).toBeNull();
  }
});

test('what is in sight shows it by itself', () => {
  expect(isSeen([])).toBe(false);
  expect(isSeen([page('hidden'), page('hidden')])).toBe(false);
  expect(isSeen([page('hidden'), page('visible')])).toBe(true);
});

test('a click goes to the page that is in use, before one that is in sight, before any', () => {
  const [used, seen, other] = [page('visible', true), page('visible'), page('hidden')];
  expect(pageFor([other, seen, used])).toBe(used);
  expect(pageFor([other, seen])).toBe(seen);
  expect(pageFor([other])).toBe(other);
  expect(pageFor([])).toBeNull();
});
