// A server for tests: takes webhooks, has others' libraries verify and read them, and writes a line for each
// into a file: key, event, type. Arguments: file, secret. Says its port.
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { HTTP } from 'cloudevents';
import { Webhook } from 'standardwebhooks';

const [, , file, secret] = process.argv;
const webhook = new Webhook(secret);

function take(request, body) {
  webhook.verify(body, request.headers);
  const events = [HTTP.toEvent({ headers: request.headers, body })].flat();
  for (const event of events) {
    event.validate();
    const line = [request.headers['webhook-id'], event.data.id, event.type].join(' ');
    appendFileSync(file, `${line}\n`);
  }
}

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    try {
      take(request, Buffer.concat(chunks).toString());
      response.writeHead(204).end();
    } catch (error) {
      appendFileSync(file, `refused ${error}\n`);
      response.writeHead(400).end(String(error));
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
