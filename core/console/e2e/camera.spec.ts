// The page of one camera, against answers of the API that are given here: what a camera does wrongly
// is tried beside the router's own tests; here it is only told.

import { readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import type { Profile } from '../src/lib/overview.svelte';

const PAGE = 'http://console.test';
const DIST = join(import.meta.dirname, '../dist');
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** 21:30 on 14 November 2023 in Hà Nội, which is nowhere near the clock of who runs this. */
const NOW = 1_699_972_200;

function profile(change: Partial<Profile>): Profile {
  return {
    profile: 'main',
    state: 'live',
    since: NOW - 60,
    cause: null,
    detail: null,
    retry_at: null,
    picture_age: 0.1,
    codec: 'H.264',
    width: 640,
    height: 360,
    audio: null,
    bits_per_second: 1e6,
    frames_per_second: 15,
    keyframe_interval: 2,
    viewers: 0,
    reconnects: [],
    transport: 'tcp',
    no_sound: null,
    quirks: {},
    ...change,
  };
}

/** Serves the built console, and one camera as it is at the moment. */
async function open(page: Page, change: Partial<Profile>, path = '#/camera/thu/cho'): Promise<void> {
  await page.route(`${PAGE}/**`, async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === '/api/v1/overview') {
      const camera = { id: 'cho', title: 'Chợ', on_demand: false, profiles: [profile(change)] };
      const commune = {
        id: 'thu',
        name: 'Phường Thử Nghiệm',
        time_zone: 'Asia/Ho_Chi_Minh',
        cameras: [camera],
      };
      return route.fulfill({ json: { now: NOW, version: '0', communes: [commune], problems: [] } });
    }
    if (pathname.endsWith('/whep')) {
      return route.fulfill({ status: 409, json: { cause: 'starting' } });
    }
    if (pathname.startsWith('/api/')) return route.fulfill({ status: 404, json: {} });
    const file = pathname === '/' ? '/index.html' : pathname;
    const contentType = TYPES[extname(file)] ?? 'application/octet-stream';
    return route.fulfill({ body: readFileSync(join(DIST, file)), contentType });
  });
  await page.goto(`${PAGE}/${path}`);
}

test('a fault is said with what the router knows of it, on the wall without', async ({ page }) => {
  const detail = 'no H.264 key frame in 20 s; shorten the camera’s keyframe interval';
  const broken: Partial<Profile> = {
    state: 'offline',
    cause: 'no_keyframe',
    detail,
    retry_at: NOW + 20,
  };
  await open(page, broken);
  const cover = page.getByRole('status');
  await expect(page.getByTestId('cause')).toHaveText('Chưa nhận được hình trọn vẹn nào để bắt đầu phát.');
  await expect(page.getByTestId('detail')).toHaveText(detail);
  // Read aloud as what it is.
  await expect(page.getByTestId('detail')).toHaveAttribute('lang', 'en');
  await expect(cover).toContainText('thử lại sau 20 giây');
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('tile')).toHaveCount(1);
  await expect(page.getByTestId('cause')).toBeVisible();
  await expect(page.getByTestId('detail')).toHaveCount(0);
});

test('a long wait is said by its end, and an attempt that does not come is not promised', async ({
  page,
}) => {
  const refused: Partial<Profile> = { state: 'offline', cause: 'unauthorized', detail: '' };
  await open(page, { ...refused, retry_at: NOW + 3600 });
  await expect(page.getByRole('status')).toContainText(/thử lại lúc .*22:30/);
  await page.unroute(`${PAGE}/**`);
  await open(page, { ...refused, retry_at: null }, '?#/camera/thu/cho');
  await expect(page.getByRole('status')).toContainText('không thử lại');
});

test('what the camera does differently, its way and its missing sound', async ({ page }) => {
  await open(page, {
    transport: 'multicast',
    no_sound: { reason: 'unsupported', detail: 'the camera sends G726-32' },
    quirks: { long_groups: 1, wrong_time_of_day: 12_345, not_known_to_this_page: 2 },
  });
  await expect(page.getByTestId('stats')).toContainText('Multicast');
  const sound = page.getByRole('region', { name: 'Vì sao không có tiếng' });
  await expect(sound).toContainText('G.711');
  await expect(sound).toContainText('G726-32');
  const oddities = page.getByRole('region', { name: 'Những điểm khác thường của camera này' });
  await expect(oddities.getByRole('listitem')).toHaveCount(3);
  await expect(oddities.getByRole('listitem').first()).toContainText('I-frame interval');
  await expect(oddities.locator('[data-quirk=wrong_time_of_day]')).toContainText('số lần: 12.345');
  await expect(oddities).toContainText('not_known_to_this_page');
  await page.getByTestId('language').click();
  await expect(page.getByRole('region', { name: 'What this camera does differently' })).toContainText(
    'time server (NTP)',
  );
});

test('a camera like any other has no list of what it does differently', async ({ page }) => {
  await open(page, {});
  await expect(page.getByTestId('stats')).toContainText('TCP');
  await expect(page.getByTestId('oddities')).toHaveCount(0);
  await expect(page.getByTestId('no-sound')).toHaveCount(0);
});

test('all of it on a phone, also when the router has much to say', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, {
    state: 'offline',
    cause: 'protocol',
    detail: 'word '.repeat(120),
    no_sound: { reason: 'none', detail: 'x'.repeat(200) },
    quirks: { long_groups: 1, no_idr: 3, transport_refused: 2 },
  });
  await expect(page.getByTestId('oddities').getByRole('listitem')).toHaveCount(3);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide).toBeLessThanOrEqual(390);
  // The sentence comes before the detail and is in sight; the rest can be scrolled to.
  await expect(page.getByTestId('cause')).toBeInViewport();
  await page.getByRole('status').getByText('không thử lại').scrollIntoViewIfNeeded();
  await expect(page.getByRole('status').getByText('không thử lại')).toBeInViewport();
  await page.getByTestId('oddities').getByRole('listitem').last().scrollIntoViewIfNeeded();
  await expect(page.getByTestId('oddities').getByRole('listitem').last()).toBeInViewport();
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/phone.png` });
});

test('who can not play the picture is told what is true for it', async ({ page }) => {
  const refuse = (): Promise<unknown> =>
    page.route(`${PAGE}/**/whep*`, (route) => route.fulfill({ status: 406, json: { detail: 'no' } }));
  // This browser's own codecs: H.264, and H.265 nowhere without hardware.
  await open(page, { codec: 'H.265' });
  await refuse();
  await expect(page.getByTestId('cause')).toHaveText(/hãy đặt camera sang H\.264/);
  await page.unrouteAll();
  // As a Firefox without its plugin.
  await page.addInitScript(() => {
    const all = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
    RTCRtpReceiver.getCapabilities = (kind) => {
      const found = all(kind);
      const codecs = found?.codecs.filter(({ mimeType }) => mimeType !== 'video/H264') ?? [];
      return found && { ...found, codecs };
    };
  });
  for (const codec of ['H.264', 'H.265']) {
    await open(page, { codec }, `?${codec}#/camera/thu/cho`);
    await refuse();
    await expect(page.getByTestId('cause')).toHaveText(/^Trình duyệt này không có H\.264/);
    await expect(page.getByTestId('cause')).not.toContainText('đặt camera');
    await page.unrouteAll();
  }
});
