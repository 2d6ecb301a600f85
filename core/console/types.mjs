// The types of the API's answers, made from its description: `npm run types`. `core/api/openapi.json`
// is what the router serves; a test there sees to it.

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import openapi, { astToString } from 'openapi-typescript';

const FROM = new URL('../api/openapi.json', import.meta.url);
const TO = new URL('src/lib/api.d.ts', import.meta.url);

const types = astToString(await openapi(FROM));
const text = `// Made from core/api/openapi.json by \`npm run types\`. Not edited, not kept.\n\n${types}`;
// A file that is written anew is newer than what was built from it.
if (!existsSync(TO) || readFileSync(TO, 'utf8') !== text) writeFileSync(TO, text);
