// A picture is not called live when it is none, whatever the browser does, and there is a way out of every
// such state: by itself, or by a press.

import { createSocket, type Socket } from 'node:dgram';
import { type Browser, expect, type Locator, type Page, test } from '@playwright/test';
import { Commune, GstCamera, numberIn, Router, showBuilt } from './stand';

const DESK = { width: 1280, height: 720 };
const PHONE = { width: 390, height: 844 };

let camera: GstCamera;
let commune: Commune;
let router: Router;

test.beforeAll(async () => {
  camera = await new GstCamera().start();
  commune = new Commune();
  commune.cameras([['cho', 'Chợ – ngã ba', camera.url]]);
  router = await new Router().start(commune);
});

test.afterAll(async () => {
  await router.stop();
  await camera.kill();
});

test.beforeEach(async ({ page }) => {
  await showBuilt(page);
});

const picture = (page: Page): Locator => page.locator('[data-camera="thu/cho"]');
const isLive = (page: Page): Promise<void> =>
  expect(picture(page)).toHaveAttribute('data-state', 'live', { timeout: 30_000 });

/** The states that a picture goes through from now on. */
async function states(page: Page): Promise<() => Promise<(string | null)[]>> {
  const seen = await picture(page).evaluateHandle((element) => {
    const all: (string | null)[] = [];
    new MutationObserver(() => all.push(element.getAttribute('data-state'))).observe(element, {
      attributeFilter: ['data-state'],
    });
    return all;
  });
  return () => seen.jsonValue();
}

/** Has the browser refuse to play until something is pressed, and then for good what is not. */
async function refusePlay(page: Page): Promise<void> {
  await page.addInitScript(() => {
    let pressed = false;
    addEventListener('pointerdown', () => (pressed = true), { capture: true });
    // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its element below
    const play = HTMLMediaElement.prototype.play;
    HTMLMediaElement.prototype.play = function (this: HTMLMediaElement) {
      if (pressed) return play.call(this);
      return Promise.reject(new DOMException('play() failed', 'NotAllowedError'));
    };
  });
}

for (const [name, size] of [
  ['at a desk', DESK],
  ['on a phone', PHONE],
] as const) {
  test(`${name}: what the browser refuses to play is for a press, and is not opened by it`, async ({
    page,
  }) => {
    await page.setViewportSize(size);
    await refusePlay(page);
    await page.goto(router.page);
    await expect(picture(page)).toHaveAttribute('data-state', 'paused', { timeout: 30_000 });
    await expect(picture(page)).toHaveText(/Bấm để xem/);
    await expect(page.getByTestId('tile')).toHaveAccessibleName('Bấm để xem Chợ – ngã ba');
    const seen = await states(page);
    await page.waitForTimeout(3000);
    expect(await seen()).toEqual([]);
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/press.png` });
    await page.getByTestId('tile').click();
    await isLive(page);
    await expect(page.getByTestId('stats')).toHaveCount(0);
    // A camera's page has a button of its own.
    await page.reload();
    await page.goto(`${router.page}#/camera/thu/cho`);
    await page.getByRole('button', { name: 'Bấm để xem' }).click({ timeout: 30_000 });
    await isLive(page);
  });

  test(`${name}: what the browser pauses goes on, and if it insists, with a press`, async ({ page }) => {
    await page.setViewportSize(size);
    await page.goto(`${router.page}#/camera/thu/cho`);
    await isLive(page);
    // Longer ago than a browser takes that means it.
    await page.waitForTimeout(5500);
    await isLive(page);
    const seen = await states(page);
    const pause = (): Promise<string | null> =>
      picture(page).evaluate(async (element) => {
        const video = element.querySelector('video');
        video?.pause();
        await new Promise((resolve) => video?.addEventListener('pause', resolve, { once: true }));
        await Promise.resolve();
        return element.getAttribute('data-state');
      });
    expect(await pause()).not.toBe('live');
    await expect.poll(seen).toContain('live');
    await isLive(page);
    expect(await pause()).toBe('paused');
    await page.waitForTimeout(2000);
    await expect(picture(page)).toHaveAttribute('data-state', 'paused');
    await page.getByTestId('press').click();
    await isLive(page);
  });
}

test('a camera that stops is not live for a viewer that asks for key frames', async ({ page }) => {
  // The browser's own way to ask for one: a worker that sees what comes in.
  await page.route('**/keys.js', (route) =>
    route.fulfill({
      contentType: 'text/javascript',
      body: `onrtctransform = ({ transformer }) => {
        transformer.readable.pipeTo(transformer.writable);
        onmessage = () => transformer.sendKeyFrameRequest().then(
          () => postMessage('sent'), (error) => postMessage(String(error)));
      };`,
    }),
  );
  await page.addInitScript(() => {
    const worker = new Worker('/keys.js');
    const said: string[] = [];
    worker.onmessage = ({ data }: MessageEvent<string>) => said.push(data);
    Object.assign(window, { askForKey: () => worker.postMessage(null), said });
    const Native = RTCPeerConnection;
    class Followed extends Native {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        this.addEventListener('track', ({ receiver, track }) => {
          if (track.kind === 'video') receiver.transform = new RTCRtpScriptTransform(worker, {});
        });
      }
    }
    Object.assign(window, { RTCPeerConnection: Followed });
  });
  await page.goto(router.page);
  await isLive(page);
  const seen = await states(page);
  camera.freeze(true);
  try {
    const said = (): Promise<string[]> =>
      page.evaluate(() => {
        const { askForKey, said } = window as unknown as { askForKey: () => void; said: string[] };
        askForKey();
        return said;
      });
    const until = Date.now() + 6000;
    while (Date.now() < until) {
      await said();
      await page.waitForTimeout(300);
    }
    // The requests went out, so that this is not a test of nothing.
    expect((await said()).filter((one) => one === 'sent').length).toBeGreaterThan(5);
    const list = await seen();
    expect(list.length).toBeGreaterThan(0);
    expect(list).not.toContain('live');
    await expect(picture(page)).toHaveAttribute('data-state', 'stalled');
  } finally {
    camera.freeze(false);
  }
  await isLive(page);
});

test('a laptop that slept says nothing of what was before, and comes back by itself', async ({
  page,
  browser,
}) => {
  await page.goto(router.page);
  await isLive(page);
  const seen = await states(page);
  const before = await numberIn(picture(page).locator('video'));
  await asleep(browser, async () => {
    // Meanwhile the router lets its session go.
    for (const { id } of (await (await fetch(`${router.page}api/v1/sessions`)).json()) as { id: number }[]) {
      await fetch(`${router.page}api/v1/sessions/${id}`, { method: 'DELETE' });
    }
    await new Promise((resolve) => setTimeout(resolve, 6000));
  });
  await expect.poll(async () => (await seen()).at(-1)).toBe('live');
  expect((await seen())[0]).not.toBe('live');
  const after = await numberIn(picture(page).locator('video'));
  expect(after ?? 0).toBeGreaterThan((before ?? 0) + 45);
});

/** The browser's pages do nothing until something is done: their clocks go on, as on most machines. */
async function asleep(browser: Browser, meanwhile: () => Promise<void>): Promise<void> {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send('SystemInfo.getProcessInfo');
  const pages = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  expect(pages.length).toBeGreaterThan(0);
  pages.forEach((id) => process.kill(id, 'SIGSTOP'));
  try {
    await meanwhile();
  } finally {
    pages.forEach((id) => process.kill(id, 'SIGCONT'));
  }
  await cdp.detach();
}

test('a tab behind others is not live, nor when it comes back, before a picture is shown', async ({
  page,
}) => {
  await page.goto(router.page);
  await isLive(page);
  const seen = await states(page);
  const hide = (hidden: boolean): Promise<void> =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, 'visibilityState', {
        configurable: true,
        get: () => (hidden ? 'hidden' : 'visible'),
      });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  await expect(picture(page)).toHaveAttribute('data-state', 'hidden');
  // The camera goes meanwhile; whoever comes back sees an old picture, and is told.
  camera.freeze(true);
  await page.waitForTimeout(1000);
  await hide(false);
  await page.waitForTimeout(3000);
  const list = await seen();
  camera.freeze(false);
  expect(list[0]).toBe('hidden');
  expect(list).not.toContain('live');
  await isLive(page);
});

test('a router that is started again has its pictures back within three seconds of the camera', async ({
  page,
}) => {
  await page.goto(router.page);
  await isLive(page);
  const address = new URL(router.page).host;
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await router.stop(signal);
    await expect(picture(page)).not.toHaveAttribute('data-state', 'live', { timeout: 3000 });
    await page.waitForTimeout(1500);
    router = await new Router().start(commune, address);
    await expect
      .poll(cameraState, { intervals: [50], timeout: 30_000, message: 'the camera is live for the router' })
      .toBe('live');
    const began = Date.now();
    await isLive(page);
    const took = Date.now() - began;
    test.info().annotations.push({ type: signal, description: `${took} ms` });
    expect(took, signal).toBeLessThan(3000);
  }
});

async function cameraState(): Promise<string | undefined> {
  const answer = await fetch(`${router.page}api/v1/overview`).catch(() => null);
  interface Answer {
    communes: { cameras: { profiles: { state: string }[] }[] }[];
  }
  const overview = (await answer?.json()) as Answer | undefined;
  return overview?.communes[0]?.cameras[0]?.profiles[0]?.state;
}

test('the servers that the router names are asked by the browser', async ({ page }) => {
  const stun = await listen();
  const other = new Commune();
  other.cameras([['cho', 'Chợ – ngã ba', camera.url]]);
  const named = await new Router().start(other, '127.0.0.1:0', 'debug', [
    '--ice-server',
    `stun:127.0.0.1:${stun.port}`,
  ]);
  try {
    await page.goto(named.page);
    await isLive(page);
    await expect.poll(() => stun.binding).toBeGreaterThan(0);
  } finally {
    await named.stop();
    stun.socket.close();
  }
});

test('a TURN server is asked with the name and password that came with it', async ({ page }) => {
  const turn = await listen();
  // A network that lets nothing else through: a way that works would be taken before.
  await page.addInitScript(() => {
    const Native = RTCPeerConnection;
    class Relayed extends Native {
      constructor(configuration?: RTCConfiguration) {
        super({ ...configuration, iceTransportPolicy: 'relay' });
      }
    }
    Object.assign(window, { RTCPeerConnection: Relayed });
  });
  await page.route(/\/whep\?/, async (route) => {
    const response = await route.fetch();
    const server = `<turn:127.0.0.1:${turn.port}>; rel="ice-server"`;
    const link = `${server}; username="1799999999:desk"; credential="secret"; credential-type="password"`;
    await route.fulfill({ response, headers: { ...response.headers(), link } });
  });
  await page.goto(router.page);
  await expect.poll(() => turn.names).toContain('1799999999:desk');
  turn.socket.close();
});

interface Asked {
  socket: Socket;
  port: number;
  /** How often it was asked for an address, which needs no name. */
  binding: number;
  /** Who asked for an allocation. */
  names: string[];
}

const MAGIC = Buffer.from('2112a442', 'hex');
const BINDING = 0x0001;
const ALLOCATE = 0x0003;
const USERNAME = 0x0006;

/** A STUN server that counts, and a TURN server that wants a name (RFC 8489, RFC 8656). */
async function listen(): Promise<Asked> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const asked: Asked = { socket, port: socket.address().port, binding: 0, names: [] };
  socket.on('message', (message, { address, port }) => {
    if (message.length < 20 || !message.subarray(4, 8).equals(MAGIC)) return;
    const transaction = message.subarray(8, 20);
    const kind = message.readUInt16BE(0);
    if (kind === BINDING) {
      asked.binding += 1;
      const octets = address.split('.').map(Number);
      const mapped = Buffer.from([0, 1, 0, 0, ...octets.map((octet, i) => octet ^ (MAGIC[i] ?? 0))]);
      mapped.writeUInt16BE(port ^ 0x2112, 2);
      socket.send(answer(0x0101, transaction, [[0x0020, mapped]]), port, address);
    } else if (kind === ALLOCATE) {
      const name = attribute(message, USERNAME);
      if (name) asked.names.push(name.toString());
      // 401: it has to say who it is.
      const refusal: [number, Buffer][] = [
        [0x0009, Buffer.from([0, 0, 4, 1])],
        [0x0014, Buffer.from('test')],
        [0x0015, Buffer.from('nonce')],
      ];
      socket.send(answer(0x0113, transaction, refusal), port, address);
    }
  });
  return asked;
}

function answer(kind: number, transaction: Buffer, attributes: [number, Buffer][]): Buffer {
  const body = Buffer.concat(
    attributes.map(([type, value]) => {
      const head = Buffer.alloc(4);
      head.writeUInt16BE(type, 0);
      head.writeUInt16BE(value.length, 2);
      return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
    }),
  );
  const head = Buffer.alloc(4);
  head.writeUInt16BE(kind, 0);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, MAGIC, transaction, body]);
}

function attribute(message: Buffer, wanted: number): Buffer | null {
  for (let at = 20; at + 4 <= message.length;) {
    const [type, length] = [message.readUInt16BE(at), message.readUInt16BE(at + 2)];
    if (type === wanted) return message.subarray(at + 4, at + 4 + length);
    at += 4 + length + (-length & 3);
  }
  return null;
}
