// A push service for tests, and the browsers behind it: takes notifications, has others' libraries verify who
// sent them and open them, and writes a line of JSON for each into a file. Arguments: certificate, key, file,
// and the browsers' names, of which `gone` and `busy` answer as they are called. Says all browsers'
// subscriptions as one line of JSON.
import { createECDH, createPublicKey, randomBytes } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import ece from 'http_ece';
import { jwtVerify } from 'jose';

const [, , cert, key, file, ...names] = process.argv;
const browsers = new Map();
for (const name of names) {
  const ecdh = createECDH('prime256v1');
  ecdh.generateKeys();
  browsers.set(name, { ecdh, auth: randomBytes(16).toString('base64url'), times: 0 });
}

/** The key that a request is signed with, as RFC 8292 writes it. */
function signer(text) {
  const point = Buffer.from(text, 'base64url');
  const part = (from) => point.subarray(from, from + 32).toString('base64url');
  return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x: part(1), y: part(33) }, format: 'jwk' });
}

async function take(request, body, origin) {
  const browser = browsers.get(request.url.split('/').pop());
  const { authorization, ttl, topic, urgency } = request.headers;
  const [, token, k] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(authorization);
  const { payload } = await jwtVerify(token, signer(k), { audience: origin, algorithms: ['ES256'] });
  const life = payload.exp - Date.now() / 1000;
  if (!(life > 0 && life <= 86_400)) throw new Error(`a token for ${life} s`);
  if (!/^(https|mailto):/.test(payload.sub)) throw new Error(`from ${payload.sub}`);
  if (!/^[\w-]{1,32}$/.test(topic)) throw new Error(`topic ${topic}`);
  if (request.headers['content-encoding'] !== 'aes128gcm') throw new Error('not sealed');
  const { ecdh, auth } = browser;
  const opened = ece.decrypt(body, { version: 'aes128gcm', privateKey: ecdh, authSecret: auth });
  browser.times += 1;
  const notice = JSON.parse(opened.toString());
  const line = { to: request.url, key: k, ttl: Number(ttl), topic, urgency, bytes: body.length, notice };
  appendFileSync(file, `${JSON.stringify(line)}\n`);
  return browser.times;
}

const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const origin = `https://localhost:${server.address().port}`;
    take(request, Buffer.concat(chunks), origin).then(
      (times) => {
        if (request.url.endsWith('gone')) response.writeHead(410).end('no such subscription');
        else if (request.url.endsWith('busy') && times === 1)
          response.writeHead(429, { 'retry-after': '1' }).end();
        else response.writeHead(201).end();
      },
      (error) => {
        appendFileSync(file, `${JSON.stringify({ refused: String(error) })}\n`);
        response.writeHead(400).end(String(error));
      },
    );
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const subscription = ([name, { ecdh, auth }]) => ({
    endpoint: `https://localhost:${port}/send/${name}`,
    keys: { p256dh: ecdh.getPublicKey('base64url'), auth },
  });
  console.log(JSON.stringify(Object.fromEntries([...browsers].map((b) => [b[0], subscription(b)]))));
});
