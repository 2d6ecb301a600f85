// What one connection for a whole wall could save at most: in an empty page, sixteen connections with a picture each
// beside one with sixteen, both ends in the browser; ms from the first call until the offers are there and until all
// is connected. No router: it is the browser's own time that is measured.

import { launch } from './browser.mjs';

const SAMPLES = Number(process.env.SAMPLES ?? 9);
const TILES = 16;

/** Makes so many connections with so many pictures each. */
async function connect([connections, pictures]) {
  const canvas = document.createElement('canvas');
  canvas.getContext('2d');
  const source = canvas.captureStream(5).getVideoTracks()[0];
  const begun = performance.now();
  const since = () => performance.now() - begun;
  let offered = 0;
  const one = async () => {
    const [viewer, router] = [new RTCPeerConnection(), new RTCPeerConnection()];
    const tell = (to) => (event) => event.candidate && to.addIceCandidate(event.candidate);
    viewer.onicecandidate = tell(router);
    router.onicecandidate = tell(viewer);
    for (let n = 0; n < pictures; n += 1) {
      viewer.addTransceiver('video', { direction: 'recvonly' });
    }
    await viewer.setLocalDescription();
    offered = since();
    await router.setRemoteDescription(viewer.localDescription);
    for (const transceiver of router.getTransceivers()) {
      transceiver.direction = 'sendonly';
      await transceiver.sender.replaceTrack(source);
    }
    await router.setLocalDescription();
    await viewer.setRemoteDescription(router.localDescription);
    await new Promise((done) => {
      const look = () => viewer.connectionState === 'connected' && done();
      viewer.onconnectionstatechange = look;
      look();
    });
    return [viewer, router];
  };
  const all = await Promise.all(Array.from({ length: connections }, one));
  const connected = since();
  all.flat().forEach((peer) => peer.close());
  return { offered, connected };
}

function median(numbers) {
  return Math.round(numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)]);
}

const browser = await launch();
const page = await browser.newPage();
const kinds = [
  ['sixteen connections', [TILES, 1]],
  ['one connection', [1, TILES]],
];
const found = new Map(kinds.map(([name]) => [name, []]));
// In turns, so that the machine's mood is the same for both; the first of each is for warming up.
for (let n = 0; n <= SAMPLES; n += 1) {
  for (const [name, kind] of kinds) {
    const times = await page.evaluate(connect, kind);
    if (n > 0) found.get(name).push(times);
    await page.waitForTimeout(500);
  }
}
console.log(`${SAMPLES} turns, median ms | all offers made | all connected`);
for (const [name, times] of found) {
  const of = (what) => median(times.map((time) => time[what]));
  console.log(`${name} | ${of('offered')} | ${of('connected')}`);
}
await browser.close();
