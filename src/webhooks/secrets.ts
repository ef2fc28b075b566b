/** The secrets that sign a key's events: made at first use, replaced with a day in which the old and the new sign. */
import type { Selectable } from "kysely";
import type { Database, DatabaseTransaction } from "../database.ts";
import { newId } from "../ids.ts";
import type { Clock, Random } from "../ports.ts";
import { newWebhookSecret } from "./signature.ts";
import type { WebhookSecretsTable } from "./tables.ts";

/** How long a secret that was replaced goes on signing. */
export const overlapMs = 24 * 3_600_000;
/** A header has room for so many signatures; when more were replaced within a day, the oldest stop sooner. */
const maxSigning = 5;

interface SecretPorts {
  clock: Clock;
  random: Random;
}

export interface WebhookSecrets {
  keyHash: string;
  /** The one in force. */
  secret: string;
  createdAt: number;
  /** Replaced ones that still sign, newest first. */
  previous: { secret: string; createdAt: number; signsUntil: number }[];
}

/** The secrets of a key; the first is made when there is none. */
export async function readSecrets(database: Database, keyHash: string, ports: SecretPorts): Promise<WebhookSecrets> {
  const rows = await signingRows(database, keyHash, ports.clock.now());
  if (rows.some(({ retires_at }) => retires_at === null)) return secretsOf(keyHash, rows);
  await insertSecret(database, keyHash, ports.clock.now(), ports);
  return secretsOf(keyHash, await signingRows(database, keyHash, ports.clock.now()));
}

/**
 * Puts a new secret in force; the one before signs beside it for a day.
 * @param actor hash of the key that asks, or `command-line`
 */
export async function rotateSecret(
  database: Database,
  keyHash: string,
  actor: string,
  ports: SecretPorts,
): Promise<WebhookSecrets> {
  return database.transaction().execute(async (transaction) => {
    const now = ports.clock.now();
    await transaction
      .updateTable("webhook_secrets")
      .set({ retires_at: now + overlapMs })
      .where("key_hash", "=", keyHash)
      .where("retires_at", "is", null)
      .execute();
    await insertSecret(transaction, keyHash, now, ports);
    const rows = await signingRows(transaction, keyHash, now);
    for (const { secret } of rows.slice(maxSigning)) {
      await transaction
        .deleteFrom("webhook_secrets")
        .where("key_hash", "=", keyHash)
        .where("secret", "=", secret)
        .execute();
    }
    await transaction
      .insertInto("audit")
      .values({
        id: newId("aud", ports.clock, ports.random),
        created_at: now,
        actor,
        action: "update",
        key_hash: keyHash,
        changes: JSON.stringify({ webhookSecret: "rotated" }),
      })
      .execute();
    return secretsOf(keyHash, rows.slice(0, maxSigning));
  });
}

/** All that sign now, the one in force first. */
export function signingSecrets({ secret, previous }: WebhookSecrets): string[] {
  return [secret, ...previous.map((one) => one.secret)];
}

/** Removes secrets whose day is over. */
export async function sweepSecrets(database: Database, now: number): Promise<void> {
  await database.deleteFrom("webhook_secrets").where("retires_at", "<=", now).execute();
}

async function insertSecret(
  database: Database | DatabaseTransaction,
  keyHash: string,
  now: number,
  { random }: SecretPorts,
): Promise<void> {
  await database
    .insertInto("webhook_secrets")
    .values({
      key_hash: keyHash,
      secret: newWebhookSecret(random),
      created_at: now,
      retires_at: null,
    })
    // Another program was faster: its secret is the one.
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

async function signingRows(
  database: Database | DatabaseTransaction,
  keyHash: string,
  now: number,
): Promise<Selectable<WebhookSecretsTable>[]> {
  const rows = await database.selectFrom("webhook_secrets").selectAll().where("key_hash", "=", keyHash).execute();
  const end = ({ retires_at }: { retires_at: number | null }) => retires_at ?? Number.POSITIVE_INFINITY;
  return rows.filter((row) => end(row) > now).sort((one, other) => end(other) - end(one));
}

function secretsOf(keyHash: string, rows: Selectable<WebhookSecretsTable>[]): WebhookSecrets {
  const current = rows.find(({ retires_at }) => retires_at === null);
  if (current === undefined) throw new Error("a key's webhook secret was not stored");
  return {
    keyHash,
    secret: current.secret,
    createdAt: current.created_at,
    previous: rows.flatMap(({ secret, created_at, retires_at }) =>
      retires_at === null ? [] : [{ secret, createdAt: created_at, signsUntil: retires_at }],
    ),
  };
}
