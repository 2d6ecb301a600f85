// Who is told of an event, and who can be: the pages against answers of the API that are given here.
// What comes back from the outside is tried beside the router's own tests; here it is only told.

import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { expect, type Page, type Route, test } from '@playwright/test';
import type { components } from '../src/lib/api';

type Schemas = components['schemas'];
type Entry = Schemas['LogEntry'];

const PAGE = 'http://console.test';
const API = '/api/v1/communes/thu';
const DIST = join(import.meta.dirname, '../dist');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const EVENT = '01m8b2qnex50956mdjw56n5zqm';
const TEST = '01m8b2qnex50956mdjw56n5zqt';
/** The page asks its own machine what time it is, so what is told here is of now. */
const now = (): number => Date.now() * 1000;
const ago = (seconds: number): number => now() - seconds * 1e6;

function event(more: Partial<Schemas['Event']> = {}): Schemas['Event'] {
  const best = {
    kind: 'litter',
    at: ago(100),
    confidence: 0.9,
    regions: [],
    track: null,
    text: '',
    extra: [],
  };
  return {
    id: EVENT,
    revision: 1,
    phase: 'opened',
    commune: 'thu',
    camera: 'cho',
    kind: 'litter',
    severity: 'warning',
    began: ago(100),
    last: ago(100),
    ended: null,
    best,
    detections: 3,
    plugin: 'litter',
    picture: false,
    answered: null,
    assigned: null,
    silenced: false,
    extra: [],
    ...more,
  };
}

function target(
  name: string,
  title: string,
  more: Partial<Schemas['TargetView']> = {},
): Schemas['TargetView'] {
  return {
    name,
    title,
    alerter: 'telegram',
    tags: ['duty'],
    deadline_seconds: 21_600,
    delivered: ago(3600),
    failed: null,
    error: null,
    gone: false,
    waiting: 0,
    oldest: null,
    browsers: [],
    ...more,
  };
}

function delivery(
  number: number,
  target: string,
  more: Partial<Schemas['Delivery']> = {},
): Schemas['Delivery'] {
  return {
    number,
    target,
    state: 'delivered',
    events: [EVENT],
    made: ago(90),
    next: null,
    attempts: 1,
    error: null,
    ended: ago(89),
    ...more,
  };
}

/** A router that knows one commune, and what was asked of it. */
class Answers {
  targets: Schemas['TargetsView'] = {
    channels: [],
    policy: 'night',
    rules: 2,
    targets: [
      target('desk', 'Trực ban'),
      target('deputy', 'Phó trưởng công an phường', {
        tags: [],
        failed: ago(60),
        error: 'HTTP 403',
        gone: true,
      }),
      target('diary', 'Sổ trực', { alerter: 'log', tags: [], delivered: null }),
    ],
  };
  story: Schemas['Story'];
  tested: Schemas['Story'] | null = null;
  failed: Schemas['Delivery'][] = [];
  silences: Schemas['Silence'][] = [];
  asked: string[] = [];
  #seq = 0;

  constructor() {
    const log = [
      this.entry({ what: 'opened' }, 99),
      this.entry(
        {
          what: 'ruled',
          by: 'rules',
          why: 'opened',
          instead_of: 'night: ended by cpu',
          severity: 'alarm',
          tell: ['desk', 'deputy'],
          not_told: [{ target: 'boss', reason: 'unknown' }],
          notes: [{ key: 'ca', value: 'đêm' }],
        },
        98,
      ),
      this.entry({ what: 'composed', target: 'desk', delivery: 1, messages: 1 }, 97),
      this.entry(
        { what: 'tried', target: 'desk', delivery: 1, attempt: 1, error: 'HTTP 503', again: ago(90) },
        96,
      ),
      this.entry({ what: 'delivered', target: 'desk', delivery: 1, attempt: 2 }, 89),
      this.entry({ what: 'undelivered', target: 'deputy', delivery: 2, error: 'HTTP 403' }, 60),
    ];
    const gone = delivery(2, 'deputy', { state: 'failed', attempts: 9, error: 'HTTP 403', ended: ago(60) });
    this.story = { event: event(), log, deliveries: [delivery(1, 'desk', { attempts: 2 }), gone] };
    this.failed = [
      gone,
      delivery(1, 'nobody', { state: 'failed', error: 'the commune has no such target any more' }),
    ];
  }

  entry(happening: object, secondsAgo = 0): Entry {
    this.#seq += 1;
    return { seq: this.#seq, revision: 1, at: ago(secondsAgo), ...happening } as Entry;
  }

  answer(path: string, method: string): unknown {
    const camera = { id: 'cho', title: 'Chợ – ngã ba', on_demand: false, profiles: [] };
    const commune = {
      id: 'thu',
      name: 'Phường Thử Nghiệm',
      time_zone: 'Asia/Ho_Chi_Minh',
      cameras: [camera],
    };
    if (path === '/api/v1/overview') {
      return { now: Date.now() / 1000, version: '0', communes: [commune], problems: [] };
    }
    if (path === `${API}/targets`) return this.targets;
    if (path === `${API}/deliveries`) return this.failed;
    if (path === `${API}/silences`) return this.silences;
    if (path === `${API}/events`) return { events: [this.story.event], next: null, seq: 0 };
    if (path === `${API}/events/standing`) return { open: 1, unanswered: 1 };
    if (path === `${API}/events/${EVENT}`) return this.story;
    if (path === `${API}/events/${TEST}`) return this.tested;
    if (method === 'POST' && path === `${API}/targets/desk/test`) {
      const made = event({
        id: TEST,
        camera: null,
        kind: 'test',
        severity: 'info',
        plugin: 'taimat',
        ended: now(),
      });
      const log = [this.entry({ what: 'tested', who: 'Lan', target: 'desk' })];
      const waiting = delivery(7, 'desk', {
        state: 'waiting',
        attempts: 0,
        ended: null,
        made: now(),
        next: now(),
      });
      this.tested = { event: made, log, deliveries: [{ ...waiting, events: [TEST] }] };
      return { entry: log[0], event: made };
    }
    if (method === 'POST' && path.endsWith('/retry')) {
      const number = Number(/deliveries\/(\d+)/.exec(path)?.[1]);
      this.failed = this.failed.filter((one) => one.number !== number);
      return null;
    }
    return undefined;
  }

  route = async (route: Route): Promise<void> => {
    const request = route.request();
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/api/')) {
      if (request.method() === 'POST') {
        this.asked.push(`${pathname.replace(`${API}/`, '')} ${request.postData() ?? ''}`);
      }
      const answer = this.answer(pathname, request.method());
      if (answer === undefined) return route.fulfill({ status: 404, json: {} });
      return route.fulfill(answer === null ? { status: 202, body: '' } : { json: answer });
    }
    if (pathname.endsWith('/whep')) return route.fulfill({ status: 409, json: { cause: 'starting' } });
    const file = pathname === '/' ? '/index.html' : pathname;
    const contentType = TYPES[extname(file)] ?? 'application/octet-stream';
    return route.fulfill({ body: readFileSync(join(DIST, file)), contentType });
  };
}

/** The page, where the test tells what happens as the router does. */
async function open(page: Page, answers: Answers, path: string, name = 'Lan'): Promise<void> {
  await page.addInitScript((name) => {
    if (name) localStorage.setItem('taimat.person', name);
    class Source {
      static readonly CLOSED = 2;
      readyState = 1;
      onopen: () => void = () => undefined;
      onmessage: (message: { data: string }) => void = () => undefined;
      constructor(url: string) {
        if (!url.includes('/events/live')) return;
        Object.assign(window, { source: this });
        setTimeout(() => this.onopen());
      }
      close(): void {
        this.readyState = Source.CLOSED;
      }
    }
    Object.assign(window, { EventSource: Source });
  }, name);
  await page.route(`${PAGE}/**`, answers.route);
  await page.goto(`${PAGE}/${path}`);
  await page.waitForFunction(() => 'source' in window);
}

/** Something happens, as the router tells it. */
async function tell(page: Page, entry: Entry, of: Schemas['Event']): Promise<void> {
  await page.evaluate(
    (told) => {
      const { source } = window as unknown as { source: { onmessage: (message: { data: string }) => void } };
      source.onmessage({ data: told });
    },
    JSON.stringify({ entry, event: of }),
  );
}

async function shot(page: Page, name: string): Promise<void> {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png` });
}

async function fits(page: Page, width: number): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
}

test('the story says what was ruled, and what came of it', async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  const answers = new Answers();
  await open(page, answers, `#/event/thu/${EVENT}`);
  const ruled = page.getByTestId('story').locator('[data-what=ruled]');
  await expect(ruled).toContainText('quy tắc của phường, xã quyết định báo Trực ban');
  for (const words of [
    'Phó trưởng công an phường',
    'night: ended by cpu',
    'mức từ lúc đó: Báo động',
    'boss không được báo',
    'ghi lại: ca: đêm',
  ]) {
    await expect(ruled).toContainText(words);
  }
  await expect(page.getByTestId('story').locator('[data-what=tried]')).toContainText('lần 1: “HTTP 503”');
  await expect(page.getByTestId('story').locator('[data-what=delivered]')).toContainText('ở lần thử thứ 2');
  const deputy = page.getByTestId('deliveries').locator('[data-target=deputy]');
  await expect(deputy).toHaveAttribute('data-state', 'failed');
  await expect(deputy).toContainText('HTTP 403');
  await shot(page, 'story');
  await page.getByTestId('language').click();
  await expect(ruled).toContainText('the commune’s rules decided to tell Trực ban');
});

test('why somebody was not told, in a sentence for each', async ({ page }) => {
  const answers = new Answers();
  await open(page, answers, `#/event/thu/${EVENT}`);
  await expect(page.getByTestId('deliveries')).toContainText('Trực ban');
  await page.keyboard.press('w');
  const why = page.getByTestId('why').locator('p');
  await expect(why).toHaveCount(4);
  await expect(why.nth(0)).toContainText(/Trực ban: Đã báo lúc .*\d\d:\d\d/);
  await expect(why.nth(1)).toContainText('số lần thử: 9): “HTTP 403”. Nơi nhận này không còn nữa');
  await expect(why.nth(2)).toContainText('boss: commune.toml không có nơi nhận tên này.');
  await expect(why.nth(3)).toContainText('Sổ trực: quy tắc của phường, xã không chỉ định báo.');
  await page.getByTestId('why').scrollIntoViewIfNeeded();
  await shot(page, 'why');
  await page.getByRole('button', { name: 'Sao tôi không được báo?' }).click();
  await expect(why).toHaveCount(0);
});

test('a silence is said with who wanted it', async ({ page }) => {
  const answers = new Answers();
  const [opened] = answers.story.log;
  const ruled = answers.entry({
    what: 'ruled',
    by: 'rules',
    why: 'opened',
    not_told: [
      {
        target: 'desk',
        reason: 'silenced',
        silence: { number: 1, who: 'Minh', until: now() + 3600e6, why: '' },
      },
    ],
  });
  answers.story = { ...answers.story, log: opened ? [opened, ruled] : [ruled], deliveries: [] };
  await open(page, answers, `#/event/thu/${EVENT}`);
  await page.getByRole('button', { name: 'Sao tôi không được báo?' }).click();
  await expect(page.getByTestId('why')).toContainText(/Trực ban: Minh đã tắt báo những sự kiện này đến /);
  await expect(page.getByTestId('deliveries')).toContainText('Chưa báo cho ai.');
});

test('what was given up is tried again from the event, and is told as it happens', async ({ page }) => {
  const answers = new Answers();
  await open(page, answers, `#/event/thu/${EVENT}`, '');
  const deputy = page.getByTestId('deliveries').locator('[data-target=deputy]');
  await deputy.getByRole('button', { name: 'Thử lại' }).click();
  await page.getByTestId('name').getByRole('textbox').fill('Lan');
  const again = delivery(2, 'deputy', { state: 'waiting', attempts: 10, error: 'HTTP 503', ended: null });
  answers.story = { ...answers.story, deliveries: [delivery(1, 'desk'), { ...again, next: now() + 600e6 }] };
  await page.keyboard.press('Enter');
  await expect(deputy).toHaveAttribute('data-state', 'waiting');
  expect(answers.asked).toEqual(['deliveries/2/retry {"who":"Lan"}']);
  await expect(deputy).toContainText(/đang thử lại.*số lần thử: 10.*thử tiếp lúc/);
  answers.story = { ...answers.story, deliveries: [delivery(1, 'desk'), delivery(2, 'deputy')] };
  const entry = answers.entry({ what: 'delivered', target: 'deputy', delivery: 2, attempt: 11 });
  await tell(page, entry, answers.story.event);
  await expect(page.getByTestId('story').locator('[data-what=delivered]')).toHaveCount(2);
  await expect(deputy).toHaveAttribute('data-state', 'delivered');
});

test('what the router refuses is said in the reader’s language, with its own words beside', async ({
  page,
}) => {
  const answers = new Answers();
  await open(page, answers, '#/targets/thu');
  const refuse = (status: number, json: object): Promise<unknown> =>
    page.route('**/targets/desk/test', (route) => route.fulfill({ status, json }));
  await refuse(503, { type: '/problems/events-busy', detail: 'the router stops' });
  const desk = page.locator('[data-testid=target][data-target=desk]');
  await desk.getByRole('button', { name: 'Gửi tin thử' }).click();
  const alert = page.getByRole('alert');
  await expect(alert).toContainText('Không thực hiện được: máy chủ đang bận, chưa xử lý được sự kiện');
  await expect(alert.locator('small[lang=en]')).toHaveText('the router stops');
  // One that this page does not know, and none at all.
  await refuse(418, { type: '/problems/teapot', detail: 'I am a teapot' });
  await desk.getByRole('button', { name: 'Gửi tin thử' }).click();
  await expect(alert).toHaveText('Không thực hiện được: máy chủ từ chối. I am a teapot');
  await page.route('**/targets/desk/test', (route) => route.abort());
  await desk.getByRole('button', { name: 'Gửi tin thử' }).click();
  await expect(alert).toHaveText('Không thực hiện được: máy chủ không trả lời.');
});

test('who can be told, and what came of a test message', async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  const answers = new Answers();
  await open(page, answers, '#/');
  await page.keyboard.press('t');
  await expect(page).toHaveURL(/#\/targets\/thu$/);
  await expect(page.getByTestId('who-rules')).toContainText('Tiện ích “night” quyết định báo cho ai.');
  const desk = page.locator('[data-testid=target][data-target=desk]');
  await expect(desk).toContainText('telegram');
  await expect(desk).toContainText('duty');
  await expect(page.locator('[data-target=deputy]')).toContainText('không còn nữa');
  await expect(page.locator('[data-target=deputy]')).toContainText('HTTP 403');
  await expect(page.locator('[data-target=diary]')).toContainText('nhật ký máy chủ');
  await desk.getByRole('button', { name: 'Gửi tin thử' }).click();
  const result = desk.getByTestId('test-result');
  await expect(result).toHaveAttribute('data-state', 'waiting');
  expect(answers.asked).toEqual(['targets/desk/test {"who":"Lan"}']);
  const tested = answers.tested;
  if (!tested) throw new Error('nothing was tested');
  // It does not go well at first.
  const tried = { attempts: 1, error: 'HTTP 503', next: now() + 5e6 };
  tested.deliveries = tested.deliveries.map((one) => ({ ...one, ...tried }));
  const happened = { target: 'desk', delivery: 7, attempt: 1, error: 'HTTP 503', again: tried.next };
  await tell(page, answers.entry({ what: 'tried', ...happened }), tested.event);
  await expect(result).toContainText('Chưa báo được, lần 1: “HTTP 503”. Thử lại lúc');
  const arrived = { state: 'delivered', attempts: 2, ended: now(), next: null } as const;
  tested.deliveries = tested.deliveries.map((one) => ({ ...one, ...arrived }));
  await tell(
    page,
    answers.entry({ what: 'delivered', target: 'desk', delivery: 7, attempt: 2 }),
    tested.event,
  );
  await expect(result).toHaveAttribute('data-state', 'delivered');
  await expect(result).toContainText('Đã báo lúc');
  await shot(page, 'targets');
  await result.getByRole('link').click();
  await expect(page.getByTestId('event-page')).toContainText('Tin thử');
});

test('what did not arrive is tried again, one and all', async ({ page }) => {
  const answers = new Answers();
  await open(page, answers, '#/targets/thu');
  const letters = page.getByTestId('letters');
  await expect(letters.getByRole('listitem')).toHaveCount(2);
  await expect(letters.getByRole('link').first()).toHaveAttribute('href', `#/event/thu/${EVENT}`);
  await letters.getByRole('button', { name: 'Thử lại tất cả (2)' }).click();
  await expect(letters).toHaveCount(0);
  const retried = answers.asked.map((asked) => asked.split(' ')[0]);
  expect(retried).toEqual(['deliveries/2/retry', 'deliveries/1/retry']);
});

test('the list of events says of which somebody could not be told', async ({ page }) => {
  const answers = new Answers();
  answers.failed = [];
  await open(page, answers, '#/events/thu');
  const row = page.getByTestId('event');
  await expect(row).toContainText('Đổ rác trái phép');
  await expect(row).not.toContainText('có nơi không báo được');
  answers.failed = [delivery(2, 'deputy', { state: 'failed', error: 'HTTP 403' })];
  const entry = answers.entry({ what: 'undelivered', target: 'deputy', delivery: 2, error: 'HTTP 403' });
  await tell(page, entry, answers.story.event);
  await expect(row).toContainText('có nơi không báo được');
});

test('nobody to tell: the page shows what to write', async ({ page }) => {
  const answers = new Answers();
  answers.targets = { channels: [], policy: null, rules: 0, targets: [] };
  answers.failed = [];
  await open(page, answers, '#/targets/thu');
  await expect(page.getByRole('heading', { name: 'Chưa có nơi nhận tin' })).toBeVisible();
  await expect(page.getByText('[target.truc-ban]')).toBeVisible();
  await shot(page, 'targets-empty');
});

test('all of it on a phone, in light and dark', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  const answers = new Answers();
  answers.failed = answers.failed.map((one) => ({ ...one, error: 'x'.repeat(300) }));
  await open(page, answers, '#/targets/thu');
  await expect(page.getByTestId('target')).toHaveCount(3);
  await fits(page, 390);
  await shot(page, 'targets-phone');
  await page.getByTestId('letters').scrollIntoViewIfNeeded();
  await shot(page, 'letters-phone');
  await page.getByRole('button', { name: 'Sáng hoặc tối' }).click();
  await page.goto(`${PAGE}/#/event/thu/${EVENT}`);
  await page.getByRole('button', { name: 'Sao tôi không được báo?' }).click();
  await expect(page.getByTestId('why').locator('p')).toHaveCount(4);
  await fits(page, 390);
  await shot(page, 'why-phone');
  await page.getByTestId('story').scrollIntoViewIfNeeded();
  await shot(page, 'story-phone');
});
