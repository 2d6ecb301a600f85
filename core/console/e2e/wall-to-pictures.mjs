// From opening the wall to its sixteen pictures in Chromium: the first offer, the first picture, all of them, in
// ms since the navigation began. Needs the router's release binary, in which the console is; with the same
// cameras, sixteen bare connections in an empty page say how much of it is the browser's own.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const taimat = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/taimat');
const SAMPLES = Number(process.env.SAMPLES ?? 9);
const TILES = 16;

async function start(...args) {
  const child = spawn(taimat, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  for await (const line of createInterface({ input: child.stdout })) return { child, line };
  throw new Error(`${args[0]} ended`);
}

/** In the page, before anything of it: when what it does is done. */
function follow() {
  const times = { offer: null, pictures: [] };
  Object.assign(window, { times });
  const native = window.fetch;
  window.fetch = (url, init) => {
    if (init?.method === 'POST') times.offer ??= performance.now();
    return native(url, init);
  };
  const seen = new Set();
  new MutationObserver(() => {
    for (const video of document.querySelectorAll('video')) {
      if (seen.has(video)) continue;
      seen.add(video);
      video.requestVideoFrameCallback(() => times.pictures.push(performance.now()));
    }
  }).observe(document, { childList: true, subtree: true });
}

/** In an empty page: as many connections, and nothing else. */
async function bare(endpoints) {
  const began = performance.now();
  const times = { offer: null, pictures: [] };
  const view = async (endpoint) => {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    connection.addTransceiver('video', { direction: 'recvonly' });
    const video = document.createElement('video');
    Object.assign(video, { muted: true, width: 320, height: 180 });
    document.body.append(video);
    connection.ontrack = ({ track }) => (video.srcObject = new MediaStream([track]));
    const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    const offer = await connection.createOffer();
    times.offer ??= performance.now() - began;
    const headers = { 'content-type': 'application/sdp' };
    const response = await fetch(endpoint, { method: 'POST', headers, body: offer.sdp });
    await connection.setLocalDescription(offer);
    await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    await video.play();
    await shown;
    times.pictures.push(performance.now() - began);
  };
  await Promise.all(endpoints.map(view));
  return times;
}

const names = Array.from({ length: TILES }, (_, i) => `camera-${i + 1}`);
const cameras = await start(
  ...['simulate', '--listen', '127.0.0.1:0', '--cameras', String(TILES), '--scenes', 'street'],
  ...['--size', '640x360', '--sub-size', '320x180', '--rate', '10', '--length', '6s'],
);
const url = (name, profile) =>
  cameras.line.replace('cameras: ', '').replace('NAME', name).replace('main', profile);
const folder = join(mkdtempSync(join(tmpdir(), 'taimat-')), 'bench');
mkdirSync(folder);
const sections = names.map(
  (name) => `[camera.${name}]\nmain = "${url(name, 'main')}"\nsub = "${url(name, 'sub')}"\n`,
);
writeFileSync(join(folder, 'commune.toml'), `[commune]\nname = "x"\n${sections.join('')}`);
const router = await start(
  ...['serve', folder, '--data', join(folder, '../data'), '--http', '127.0.0.1:0'],
  ...['--rtsp', '127.0.0.1:0', '--rtc', '127.0.0.1:0'],
);
const origin = router.line.replace('console: ', '');
const browser = await launch();
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
await wait(4000);

const ways = {
  'the wall': async (page) => {
    await page.addInitScript(follow);
    await page.goto(origin);
    await page.waitForFunction((tiles) => window.times.pictures.length >= tiles, TILES);
    return page.evaluate(() => window.times);
  },
  'bare connections': async (page) => {
    await page.goto(`${origin}healthz`);
    return page.evaluate(
      bare,
      names.map((name) => `/bench/${name}/whep?profile=sub`),
    );
  },
};
const results = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
// The browser's own start is not counted.
for (let i = 0; i <= SAMPLES; i += 1) {
  for (const [name, open] of Object.entries(ways)) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 } });
    const times = await open(await context.newPage());
    if (i > 0) results[name].push(times);
    await context.close();
    await wait(500);
  }
}
console.log(
  `${TILES} pictures | first offer | first picture | all pictures (ms: median / p95 of ${SAMPLES})`,
);
for (const [name, times] of Object.entries(results)) {
  const show = (of) => {
    const sorted = times.map(of).sort((a, b) => a - b);
    const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
    return `${at(0.5)} / ${at(0.95)}`;
  };
  const row = [
    show((t) => t.offer),
    show((t) => Math.min(...t.pictures)),
    show((t) => Math.max(...t.pictures)),
  ];
  console.log([name, ...row].join(' | '));
}
await browser.close();
router.child.kill();
cameras.child.kill();
