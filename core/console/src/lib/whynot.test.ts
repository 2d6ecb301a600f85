import { expect, test } from 'vitest';
import type { LogEntry, RouterEvent } from './eventlist';
import type { Delivery, Story } from './story';
import { vi } from './texts/vi';
import { because, titleOf, type Around, type TargetsView } from './whynot';

/** 12:00:00, in microseconds. */
const NOW = 43_200_000_000;
const minutes = (n: number): number => NOW + n * 60_000_000;

let seq = 0;
type Happening = LogEntry extends infer E
  ? E extends LogEntry
    ? Omit<E, 'seq' | 'revision' | 'at'>
    : never
  : never;
const entry = (happening: Happening, at = NOW): LogEntry => {
  seq += 1;
  return { seq, revision: 1, at, ...happening };
};
const ruled = (more: Partial<Extract<LogEntry, { what: 'ruled' }>> = {}): LogEntry =>
  entry({ what: 'ruled', by: 'rules', why: 'opened', ...more });
const delivery = (more: Partial<Delivery> = {}): Delivery => ({
  number: 1,
  target: 'desk',
  state: 'waiting',
  events: ['a'],
  made: NOW,
  next: NOW,
  attempts: 0,
  error: null,
  ended: null,
  ...more,
});
const story = (log: LogEntry[], deliveries: Delivery[] = [], event: Partial<RouterEvent> = {}): Story => ({
  event: {
    id: 'a',
    camera: 'cho',
    kind: 'litter',
    severity: 'warning',
    silenced: false,
    ...event,
  } as RouterEvent,
  log: [entry({ what: 'opened' }), ...log],
  deliveries,
});
const target = (name: string, more: object = {}): TargetsView['targets'][number] => ({
  name,
  title: name,
  alerter: 'telegram',
  tags: [],
  deadline_seconds: 3600,
  delivered: null,
  failed: null,
  error: null,
  gone: false,
  waiting: 0,
  oldest: null,
  browsers: [],
  ...more,
});
const around = (more: Partial<Around> = {}): Around => ({
  targets: { channels: [], policy: null, rules: 2, targets: [target('desk')] },
  now: NOW,
  ...more,
});

/** What is said, with the minutes of its times. */
function said(told: Story, about: Around = around()): string {
  const words = because(told, about).map(({ target, sentences }) => {
    const all = sentences.map(({ word, parts = {} }) =>
      vi[word].replace(/\{(\w+)\}/g, (_, name: string) => {
        const part = parts[name] ?? '';
        if (typeof part !== 'object') return String(part);
        if ('time' in part) return `12:${String((part.time - NOW) / 60_000_000).padStart(2, '0')}`;
        return 'word' in part ? vi[part.word] : part.targets.join(', ');
      }),
    );
    return [...(target === null ? [] : [`${target}:`]), ...all].join(' ');
  });
  return words.join(' | ');
}

const policy: TargetsView = { channels: [], policy: 'night', rules: 1, targets: [target('desk')] };

test('nobody has ruled yet', () => {
  expect(said(story([]))).toBe('Chưa có quyết định báo cho ai.');
  expect(said(story([]), around({ targets: policy }))).toBe('Tiện ích “night” chưa quyết định báo cho ai.');
  expect(said(story([]), around({ targets: null }))).toBe('Chưa có quyết định báo cho ai.');
});

test('nobody could be told at all', () => {
  const none = around({ targets: { channels: [], policy: null, rules: 0, targets: [] } });
  expect(said(story([ruled()]), none)).toBe('commune.toml chưa ghi nơi nhận tin nào.');
});

test('it was ruled that nobody is told, and why', () => {
  expect(said(story([ruled()]))).toBe('Theo quy tắc của phường, xã, không báo ai về sự kiện này.');
  expect(said(story([ruled({ by: 'night', suppressed: 'trời mưa', again: minutes(5) })]))).toBe(
    'Theo night, không báo ai: “trời mưa”. Sẽ xem lại lúc 12:05.',
  );
  // A time that has passed is no promise.
  expect(said(story([ruled({ again: minutes(-5) })]))).not.toContain('xem lại');
});

test('without rules only what is serious is told', () => {
  const bare = around({ targets: { channels: [], policy: null, rules: 0, targets: [target('desk')] } });
  expect(said(story([ruled()], [], { severity: 'notice' }), bare)).toContain('chỉ báo từ mức cảnh báo');
  expect(said(story([ruled()]), bare)).toContain('không báo ai về sự kiện này');
});

test('the policy failed, and the rules ruled', () => {
  expect(said(story([ruled({ instead_of: 'night: ended by trap' })]), around({ targets: policy }))).toBe(
    'Theo quy tắc của phường, xã, không báo ai về sự kiện này. Tiện ích quyết định không trả lời: “night: ended by trap”.',
  );
});

test('silenced, by whom where that is known', () => {
  const silence = { number: 1, until: minutes(30), who: 'Lan', why: '' };
  const by = (more: Partial<typeof silence> | null): string => {
    const one = { target: 'desk', reason: 'silenced' } as const;
    return said(story([ruled({ not_told: [more ? { ...one, silence: { ...silence, ...more } } : one] })]));
  };
  expect(by(null)).toBe('desk: Có người đã tắt báo những sự kiện này.');
  expect(by({})).toBe('desk: Lan đã tắt báo những sự kiện này đến 12:30.');
  expect(by({ why: 'sửa đường' })).toBe('desk: Lan đã tắt báo những sự kiện này đến 12:30: “sửa đường”.');
  // It held when the event began: that it is over by now changes nothing.
  expect(by({ until: minutes(-1) })).toContain('Lan đã tắt báo');
});

test.each([
  ['unknown', 'commune.toml không có nơi nhận tên này.'],
  ['gone', 'Nơi nhận này không còn nữa; gửi tin thử hoặc sửa commune.toml thì sẽ báo lại.'],
  ['full', 'Đã có quá nhiều tin đang chờ.'],
] as const)('a target that is named and is not told: %s', (reason, words) => {
  expect(said(story([ruled({ not_told: [{ target: 'desk', reason }] })]))).toBe(`desk: ${words}`);
});

test('it waits: for its time, for its turn, for a moment', () => {
  const tell = ruled({ tell: ['desk'] });
  expect(said(story([tell], [delivery({ next: minutes(10) })]))).toBe(
    'desk: Tin đang chờ, không gửi trước 12:10.',
  );
  expect(said(story([tell], [delivery()]))).toBe('desk: Tin sắp được gửi.');
  // The page knows the ruling, and not yet what came of it.
  expect(said(story([tell]))).toBe('desk: Tin sắp được gửi.');
  const busy = around({
    targets: { channels: [], policy: null, rules: 1, targets: [target('desk', { waiting: 7 })] },
  });
  expect(said(story([tell], [delivery({ made: minutes(-1) })]), busy)).toContain('số tin đang chờ: 7');
});

test('it is being tried', () => {
  const tell = ruled({ tell: ['desk'] });
  const tried = delivery({ attempts: 3, error: 'HTTP 503', next: minutes(1) });
  expect(said(story([tell], [tried]))).toBe('desk: Chưa báo được, lần 3: “HTTP 503”. Thử lại lúc 12:01.');
  const unworded = delivery({ error: 'telegram: the plugin does not run', next: minutes(1) });
  expect(said(story([tell], [unworded]))).toBe(
    'desk: Chưa gửi được tin: “telegram: the plugin does not run”. Thử lại lúc 12:01.',
  );
});

test('given up, and why', () => {
  const failed = delivery({ state: 'failed', next: null, attempts: 9, error: 'HTTP 403', ended: minutes(2) });
  const words = 'desk: Không báo được, từ 12:02 không thử nữa (số lần thử: 9): “HTTP 403”.';
  expect(said(story([], [failed]))).toBe(words);
  const gone = { channels: [], policy: null, rules: 1, targets: [target('desk', { gone: true })] };
  expect(said(story([], [failed]), around({ targets: gone }))).toContain('Nơi nhận này không còn nữa');
});

test('the alerter had nothing to say, or the policy changed its mind', () => {
  const reason = 'trùng';
  const skipped = entry({ what: 'skipped', target: 'desk', delivery: 1, reason });
  expect(said(story([skipped], [delivery({ state: 'skipped', ended: NOW })]))).toBe(
    'desk: Tiện ích soạn tin cho rằng không có gì để gửi: “trùng”.',
  );
  const taken = entry({ what: 'taken-back', target: 'desk', delivery: 1, reason });
  const words = 'desk: Tin đã được rút lại trước khi gửi: “trùng”.';
  expect(said(story([taken], [delivery({ state: 'taken-back', ended: NOW })]))).toBe(words);
  // Of a message about several events the others are left.
  expect(said(story([taken]))).toBe(words);
});

test('it was told, so it was', () => {
  const delivered = delivery({ state: 'delivered', next: null, attempts: 1, ended: minutes(1) });
  expect(said(story([], [delivered]))).toBe('desk: Đã báo lúc 12:01.');
  const again = delivery({ number: 2, attempts: 1, error: 'HTTP 500', next: minutes(3) });
  expect(said(story([], [delivered, again]))).toBe(
    'desk: Đã báo lúc 12:01; sau đó sự kiện thay đổi và được báo lại. Chưa báo được, lần 1: “HTTP 500”. Thử lại lúc 12:03.',
  );
  const silenced = ruled({
    at: minutes(4),
    why: 'closed',
    not_told: [{ target: 'desk', reason: 'silenced' }],
  });
  expect(said(story([silenced], [delivered]))).toBe(
    'desk: Đã báo lúc 12:01. Không báo lại: Có người đã tắt báo những sự kiện này.',
  );
});

test('each has its own answer, and so have those who were not named', () => {
  const targets = {
    channels: [],
    policy: null,
    rules: 1,
    targets: ['desk', 'deputy', 'siren'].map((name) => target(name)),
  };
  const log = [
    ruled({ tell: ['desk'], not_told: [{ target: 'boss', reason: 'unknown' }], again: minutes(5) }),
  ];
  const delivered = delivery({ state: 'delivered', ended: NOW });
  expect(said(story(log, [delivered]), around({ targets }))).toBe(
    'desk: Đã báo lúc 12:00. | boss: commune.toml không có nơi nhận tên này. | ' +
      'deputy, siren: quy tắc của phường, xã không chỉ định báo. Sẽ xem lại lúc 12:05.',
  );
  // A test message is for one of them.
  const tested = entry({ what: 'tested', who: 'Lan', target: 'desk' });
  expect(said(story([tested], [delivered]), around({ targets }))).toBe('desk: Đã báo lúc 12:00.');
});

test('browsers are told each by itself, and are called by who sits there', () => {
  const wants = { language: 'vi' as const, at_least: 'warning' as const, cameras: [], kinds: [] };
  const an = { name: 'phones/1', number: 1, who: 'An', wants, made: NOW, renewed: NOW };
  const phones = target('phones', { title: 'Điện thoại', alerter: 'push', browsers: [an] });
  const targets = { channels: [], policy: null, rules: 1, targets: [phones, target('desk')] };
  expect(titleOf(targets, 'phones')).toBe('Điện thoại');
  expect(titleOf(targets, 'phones/1')).toBe('Điện thoại (An)');
  expect(titleOf(targets, 'phones/7')).toBe('Điện thoại (7)');
  expect(titleOf(null, 'phones/7')).toBe('phones/7');
  const log = [ruled({ tell: ['phones'] })];
  const told = [
    delivery({ target: 'phones/1', state: 'delivered', ended: NOW }),
    delivery({ number: 2, target: 'phones/7', state: 'skipped', ended: NOW }),
  ];
  expect(said(story(log, told), around({ targets }))).toBe(
    'phones/1: Đã báo lúc 12:00. | phones/7: Trình duyệt này không muốn nhận tin nữa. | ' +
      'desk: quy tắc của phường, xã không chỉ định báo.',
  );
  const unwanted = [ruled({ tell: [], not_told: [{ target: 'phones', reason: 'unwanted' }] })];
  expect(said(story(unwanted, []), around({ targets }))).toContain('phones: Chưa trình duyệt nào đăng ký');
});
