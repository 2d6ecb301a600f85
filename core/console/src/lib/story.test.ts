import { expect, test } from 'vitest';
import type { LogEntry } from './eventlist';
import { isDue, isTelling, joined, standing, told, type Delivery, type Part } from './story';
import { en } from './texts/en';
import { vi } from './texts/vi';

const entry = (happening: object): LogEntry => ({ seq: 1, revision: 1, at: 0, ...happening }) as LogEntry;

function filled(catalogue: Record<string, string>, part: Part): string {
  if (typeof part !== 'object') return String(part);
  if ('time' in part) return `@${part.time}`;
  return 'word' in part ? (catalogue[part.word] ?? '') : part.targets.join(', ');
}

function said(happening: object, catalogue: Record<string, string> = en, plugin = 'motion'): string {
  const sentences = told({ entry: entry(happening), times: 1 }, plugin);
  const words = sentences.map(({ word, parts = {} }) =>
    (catalogue[word] ?? '').replace(/\{(\w+)\}/g, (_, name: string) => filled(catalogue, parts[name] ?? '?')),
  );
  return words.join('; ');
}

const whom = { target: 'desk', delivery: 3 };

test.each<[object, string, string]>([
  [{ what: 'composed', ...whom, messages: 1 }, 'message for desk is worded', 'đã soạn tin cho desk'],
  [{ what: 'composed', ...whom, messages: 2 }, 'messages for desk are worded: 2', 'đã soạn 2 tin cho desk'],
  [
    { what: 'tried', ...whom, attempt: 2, error: 'HTTP 503', again: 9 },
    'desk was not reached, attempt 2: “HTTP 503”; tried again at @9',
    'chưa báo được desk, lần 2: “HTTP 503”; thử lại lúc @9',
  ],
  [
    { what: 'tried', ...whom, attempt: 0, error: 'telegram: busy', again: 9 },
    'could not be sent to desk yet: “telegram: busy”; tried again at @9',
    'chưa gửi được cho desk: “telegram: busy”; thử lại lúc @9',
  ],
  [{ what: 'delivered', ...whom, attempt: 1 }, 'desk has been told', 'đã báo desk'],
  [
    { what: 'delivered', ...whom, attempt: 3 },
    'desk has been told, at attempt 3',
    'đã báo desk, ở lần thử thứ 3',
  ],
  [
    { what: 'undelivered', ...whom, error: 'HTTP 403' },
    'desk could not be told, and is not tried any more: “HTTP 403”',
    'không báo được desk, không thử nữa: “HTTP 403”',
  ],
  [
    { what: 'skipped', ...whom, reason: 'twice' },
    'there was nothing to send to desk: “twice”',
    'không có gì để gửi cho desk: “twice”',
  ],
  [
    { what: 'taken-back', ...whom, reason: 'rain' },
    'what waited for desk is not sent: “rain”',
    'không gửi nữa tin đang chờ cho desk: “rain”',
  ],
  [{ what: 'retried', ...whom, who: 'Lan' }, 'Lan wants desk to be tried again', 'Lan yêu cầu báo lại desk'],
  [
    { what: 'tested', target: 'desk', who: 'Lan' },
    'Lan sends a test message to desk',
    'Lan gửi tin thử đến desk',
  ],
  [{ what: 'danced' }, 'something that this page does not know: danced', 'điều trang này chưa biết: danced'],
])('%j', (happening, english, vietnamese) => {
  expect(said(happening)).toBe(english);
  expect(said(happening, vi)).toBe(vietnamese);
});

test('a ruling says all that there is to it', () => {
  const ruled = {
    what: 'ruled',
    by: 'rules',
    why: 'undelivered',
    instead_of: 'night: ended by cpu',
    severity: 'alarm',
    tell: ['desk', 'deputy'],
    not_told: [{ target: 'boss', reason: 'unknown' }],
    notes: [{ key: 'shift', value: 'B' }],
    again: 7,
  };
  expect(said(ruled)).toBe(
    'the commune’s rules decided to tell desk, deputy (since somebody could not be told); ' +
      'in place of the policy plugin, which gave no answer: “night: ended by cpu”; level from then on: Alarm; ' +
      'boss is not told: commune.toml has no such recipient; noted: shift: B; looked at again at @7',
  );
  expect(said(ruled, vi)).toContain(
    'quy tắc của phường, xã quyết định báo desk, deputy (vì có nơi không báo được)',
  );
});

test('a ruling that tells nobody says so, and nobody else where somebody may have been told', () => {
  const ruled = { what: 'ruled', by: 'night', why: 'opened' };
  expect(said(ruled)).toBe('night decided to tell nobody (since it began)');
  expect(said({ ...ruled, suppressed: 'rain' })).toBe(
    'night decided to tell nobody: “rain” (since it began)',
  );
  expect(said({ ...ruled, why: 'closed' })).toBe('night decided to tell nobody else (since it is over)');
  for (const reason of ['unknown', 'silenced', 'gone', 'full']) {
    expect(said({ ...ruled, not_told: [{ target: 'desk', reason }] })).toContain('desk is not told: ');
  }
  const silence = { number: 1, who: 'Lan', until: 7, why: '' };
  expect(said({ ...ruled, not_told: [{ target: 'desk', reason: 'silenced', silence }] })).toContain(
    'desk is not told: Lan has silenced such events until @7',
  );
});

test('what was told while the story was asked for is part of it, once and in order', () => {
  const at = (seq: number): LogEntry => ({ ...entry({ what: 'updated' }), seq });
  expect(joined([at(1), at(4)], [at(3), at(4)]).map(({ seq }) => seq)).toEqual([1, 3, 4]);
  expect(isTelling(entry({ what: 'tried' }))).toBe(true);
  expect(isTelling(entry({ what: 'commented' }))).toBe(false);
});

test('how it stands with a delivery, and whether something should have come of it', () => {
  const waiting = { state: 'waiting', next: 10, attempts: 0, error: null } as Delivery;
  expect(standing(waiting)).toBe('delivery_waiting');
  expect(standing({ ...waiting, attempts: 1 })).toBe('delivery_trying');
  expect(standing({ ...waiting, error: 'busy' })).toBe('delivery_trying');
  expect(standing({ ...waiting, state: 'taken-back' })).toBe('delivery_taken-back');
  expect([isDue([waiting], 9), isDue([waiting], 10)]).toEqual([false, true]);
  expect(isDue([{ ...waiting, state: 'failed', next: null }], 99)).toBe(false);
});
