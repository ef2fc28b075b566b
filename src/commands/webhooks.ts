import { type Command, InvalidArgumentError, Option } from "commander";
import { listKeyFigures } from "../accounts/key-view.ts";
import { commandLine, findKey, type Key } from "../accounts/keys.ts";
import { PublicError } from "../errors.ts";
import { deliveryObject, type ListedDelivery, listDeliveries } from "../webhooks/list.ts";
import { readSecrets, rotateSecret, signingSecrets, type WebhookSecrets } from "../webhooks/secrets.ts";
import { newWebhookSecret } from "../webhooks/signature.ts";
import type { DeliveryStatus } from "../webhooks/tables.ts";
import { sendTestEvent, type Tried } from "../webhooks/try.ts";
import { checkWebhookUrl } from "../webhooks/url.ts";
import { printTable, withParts } from "./store.ts";

interface LogOptions {
  key?: string;
  generation?: string;
  status?: DeliveryStatus;
  limit: number;
  json?: true;
}

export function addWebhooks(program: Command): void {
  const webhooks = program
    .command("webhooks")
    .description("Webhooks for finished generations: who gets them, what was delivered, secrets, and a test.")
    .addHelpText(
      "after",
      `
Recipients on private addresses, or without TLS, need their origin in AROUTER_WEBHOOK_ORIGINS.

Examples:
  arouter webhooks list
  arouter webhooks deliveries --status given_up
  arouter webhooks secret "web shop"
  arouter webhooks test https://shop.example.com/arouter --key "web shop"`,
    );

  webhooks
    .command("list")
    .description("List the keys that have a webhook URL.")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: true }) => {
      const keys = await withParts(async ({ database, clock }) => {
        const { keys } = await listKeyFigures(database, { includeDisabled: true }, clock.now());
        return keys.map(({ key }) => key).filter(({ webhook_url }) => webhook_url !== null);
      });
      if (json) return console.log(JSON.stringify(keys.map(keyJson)));
      if (keys.length === 0) return console.log("No key has a webhook URL. Set one: PATCH /api/v1/keys/HASH.");
      const rows = keys.map((key) => [key.name, key.kind, key.label, key.webhook_url ?? "", key.hash]);
      printTable(["NAME", "TYPE", "KEY", "URL", "HASH"], rows);
    });

  webhooks
    .command("deliveries")
    .description("Show the delivery log, newest first. It is kept for seven days.")
    .option("--key <hash-or-name>", "only this key's")
    .option("--generation <id>", "only this generation's, gen-…")
    .addOption(new Option("--status <status>", "only these").choices(["pending", "delivered", "given_up"]))
    .option("--limit <n>", "at most this many", count, 50)
    .option("--json", "print JSON")
    .action(async ({ key, generation, status, limit, json }: LogOptions) => {
      const { rows } = await withParts(async ({ database }) => {
        const keyHash = key === undefined ? undefined : (await findKey(database, key)).hash;
        return listDeliveries(database, { keyHash, generationId: generation, status }, limit, null);
      });
      if (json) return console.log(JSON.stringify(rows.map(deliveryObject)));
      if (rows.length === 0) return console.log("No deliveries.");
      printDeliveries(rows);
    });

  webhooks
    .command("secret")
    .argument("<hash-or-name>", "the key's hash, or its name where only one key has it")
    .description("Show the secret that signs a key's events; the first time it is made.")
    .option("--rotate", "make a new one; for 24 hours the old and the new both sign")
    .option("--json", "print JSON")
    .action(async (hashOrName: string, { rotate, json }: { rotate?: true; json?: true }) => {
      const secrets = await withParts(async (parts) => {
        const { hash } = await findSigner(parts.database, hashOrName);
        return rotate
          ? rotateSecret(parts.database, hash, commandLine, parts)
          : readSecrets(parts.database, hash, parts);
      });
      if (json) return console.log(JSON.stringify(secretJson(secrets)));
      console.log(secrets.secret);
      for (const { signsUntil } of secrets.previous) {
        console.log(`\nThe one before it signs too, until ${iso(signsUntil)}.`);
      }
    });

  webhooks
    .command("test")
    .argument("<url>", "where to send it")
    .description("Send a signed webhook.test event and show what came back. Exit code 1 when it was not accepted.")
    .option("--key <hash-or-name>", "sign with this key's secret; else with one made for this test")
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  arouter webhooks test https://shop.example.com/arouter --key "web shop"
  AROUTER_WEBHOOK_ORIGINS=http://127.0.0.1:3000 arouter webhooks test http://127.0.0.1:3000/arouter`,
    )
    .action(async (given: string, { key, json }: { key?: string; json?: true }) => {
      const tried = await withParts(async (parts) => {
        const url = checkWebhookUrl(given, parts.config.webhookOrigins, "url");
        const signer = key === undefined ? undefined : await findSigner(parts.database, key);
        const secrets =
          signer === undefined
            ? [newWebhookSecret(parts.random)]
            : signingSecrets(await readSecrets(parts.database, signer.hash, parts));
        return sendTestEvent(parts, url, secrets);
      });
      if (tried.problem !== null) process.exitCode = 1;
      if (json) console.log(JSON.stringify(triedJson(tried)));
      else printTried(tried);
    });
}

/** @throws PublicError not_found, invalid_value */
async function findSigner(database: Parameters<typeof findKey>[0], hashOrName: string): Promise<Key> {
  const key = await findKey(database, hashOrName);
  if (key.kind !== "management") return key;
  throw new PublicError("invalid_value", `'${key.name}' is a management key: it makes no images, so it signs nothing.`);
}

function keyJson({ hash, name, kind, webhook_url }: Key) {
  return { hash, name, type: kind, webhook_url };
}

function secretJson({ keyHash, secret, createdAt, previous }: WebhookSecrets) {
  return {
    key_hash: keyHash,
    secret,
    created_at: iso(createdAt),
    previous: previous.map((one) => ({ created_at: iso(one.createdAt), signs_until: iso(one.signsUntil) })),
  };
}

function printDeliveries(rows: ListedDelivery[]): void {
  printTable(
    ["EVENT AT", "GENERATION", "STATE", "ATTEMPTS", "LAST STATUS", "NEXT ATTEMPT", "URL", "LAST ERROR"],
    rows.map((row) => [
      iso(row.created_at),
      row.generation_id,
      row.status,
      String(row.attempts),
      row.last_status === null ? "" : String(row.last_status),
      row.next_attempt_at === null ? "" : iso(row.next_attempt_at),
      row.url,
      row.last_error ?? "",
    ]),
    { right: [3, 4] },
  );
}

function triedJson({ message, headers, status, problem, reason }: Tried) {
  return {
    url: message.url,
    delivered: problem === null,
    status,
    error: problem,
    reason: reason ?? null,
    headers,
    body: message.body,
    secrets: message.secrets,
  };
}

function printTried({ message, headers, status, problem, reason }: Tried): void {
  const outcome = problem === null ? `accepted with status ${status}` : `not accepted: ${problem}`;
  console.log(`${message.url}: ${outcome}${reason === undefined ? "" : ` (${reason})`}\n\nSent:\n`);
  for (const [name, value] of Object.entries(headers)) console.log(`  ${name}: ${value}`);
  console.log(`\n  ${message.body}\n\nTo verify it by hand, with the secret ${message.secrets[0]}:\n`);
  console.log(`  ${shellCheck(message, headers)}\n`);
  console.log(
    "It prints what must stand after `v1,` in webhook-signature. In a program, use a Standard Webhooks library.",
  );
}

/** A line for a shell that signs what was sent once more. */
function shellCheck({ id, body, secrets }: Tried["message"], headers: Record<string, string>): string {
  const signed = `${id}.${headers["webhook-timestamp"]}.${body}`.replaceAll("'", `'\\''`);
  const key = Buffer.from((secrets[0] ?? "").slice("whsec_".length), "base64").toString("hex");
  return `printf %s '${signed}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:${key} -binary | base64`;
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

function count(value: string): number {
  if (!/^[1-9]\d{0,3}$/.test(value)) throw new InvalidArgumentError("Use a whole number from 1 to 9999.");
  return Number(value);
}
