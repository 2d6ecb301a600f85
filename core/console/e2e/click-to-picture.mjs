// From the click to the picture in Chromium: connected, first picture shown, live, at keyframe
// intervals of 1, 4 and 10 s. Run by `cargo xtask bench egress`; needs the release binary.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { launch } from './browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const taimat = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'release/taimat');
const SAMPLES = Number(process.env.SAMPLES ?? 21);

async function start(args) {
  const child = spawn(taimat, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  for await (const line of createInterface({ input: child.stdout })) return { child, line };
  throw new Error(`${args[0]} ended`);
}

/** In the page: one viewing, all times in ms after the click. */
async function view(endpoint) {
  const began = performance.now();
  const after = () => performance.now() - began;
  const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  const video = document.createElement('video');
  video.muted = true;
  video.autoplay = true;
  document.body.append(video);
  const times = {};
  pc.onconnectionstatechange = () => {
    if (pc.connectionState === 'connected') times.connected ??= after();
  };
  pc.ontrack = (event) => (video.srcObject = new MediaStream([event.track]));
  pc.addTransceiver('video', { direction: 'recvonly' });
  await pc.setLocalDescription();
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'content-type': 'application/sdp' },
    body: pc.localDescription.sdp,
  });
  times.answered = after();
  const frames = [];
  const done = new Promise((resolve) => {
    const shown = (_, frame) => {
      times.picture ??= after();
      frames.push({ at: after(), rtp: frame.rtpTimestamp });
      if (after() < 3000) video.requestVideoFrameCallback(shown);
      else resolve();
    };
    video.requestVideoFrameCallback(shown);
  });
  await pc.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  await done;
  // Live is where pictures come at the camera's pace: the newest ones tell where each would be.
  const last = frames[frames.length - 1];
  const behind = frames.map((f) => f.at - last.at - ((f.rtp - last.rtp) | 0) / 90);
  const settled = behind.findIndex((_, i) => behind.slice(i).every((b) => Math.abs(b) < 60));
  times.live = frames[settled]?.at ?? null;
  pc.close();
  await fetch(response.headers.get('location'), { method: 'DELETE' });
  video.remove();
  return times;
}

const browser = await launch();
console.log('keyframes every | answered | connected | first picture | live (ms: median / p95)');
for (const interval of [1, 4, 10]) {
  const camera = await start([
    'simulate',
    '--listen',
    '127.0.0.1:0',
    '--cameras',
    '1',
    '--scenes',
    'street',
    '--sub-size',
    'none',
    '--keyframe-interval',
    `${interval}s`,
  ]);
  const address = /rtsp:\/\/([^/]+)\//.exec(camera.line)[1];
  const folder = join(mkdtempSync(join(tmpdir(), 'taimat-')), 'bench');
  mkdirSync(folder);
  writeFileSync(
    join(folder, 'commune.toml'),
    `[commune]\nname = "x"\n[camera.a]\nmain = "rtsp://${address}/camera-1/main"\n`,
  );
  const router = await start([
    'serve',
    folder,
    '--http',
    '127.0.0.1:0',
    '--rtsp',
    '127.0.0.1:0',
    '--rtc',
    '127.0.0.1:0',
  ]);
  const page = await browser.newPage();
  await page.goto(`${router.line.replace('console: ', '')}healthz`);
  await page.waitForTimeout(interval * 1000 + 1500);
  const results = [];
  for (let i = 0; i < SAMPLES + 1; i += 1) {
    // Not in step with the camera's key frames.
    await page.waitForTimeout((i * 373) % (interval * 1000));
    results.push(await page.evaluate(view, '/bench/a/whep'));
  }
  results.shift(); // The browser's own start.
  const show = (key) => {
    const sorted = results.map((r) => r[key] ?? Infinity).sort((a, b) => a - b);
    const at = (share) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
    return `${at(0.5)} / ${at(0.95)}`;
  };
  console.log(
    [`${interval} s`, show('answered'), show('connected'), show('picture'), show('live')].join(' | '),
  );
  await page.close();
  router.child.kill();
  camera.child.kill();
}
await browser.close();
