// Verifies what input.json has by the standard's library; fails if it does not hold.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync("input.json", "utf8"));
new Webhook(secret).verify(body, headers);
