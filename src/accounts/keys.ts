/** API keys: made once, shown once, stored as a hash. */
import { createHash } from "node:crypto";
import type { Insertable, Selectable } from "kysely";
import type { AuditTable, Database, DatabaseTransaction, KeyKind, KeysTable, LimitReset } from "../database.ts";
import { PublicError } from "../errors.ts";
import { newId, newSecret } from "../ids.ts";
import type { Nanos } from "../money.ts";
import type { Clock, Random } from "../ports.ts";
import { changePeriod } from "./limits.ts";

export type Key = Selectable<KeysTable>;

export const keyPrefixes: Record<KeyKind, string> = { live: "lr_live_", test: "lr_test_", management: "lr_mgmt_" };

/** SHA-256 in hex. The secrets carry 190 random bits, so that a plain hash cannot be searched. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** What can be set on a key. */
export interface KeySettings {
  name: string;
  /** Unix milliseconds, or null for never. */
  expiresAt: number | null;
  limit: Nanos | null;
  limitReset: LimitReset | null;
  /** Ids, `author/model`; null: all. */
  allowedModels: string[] | null;
  allowedProviders: string[] | null;
  requestsPerMinute: number | null;
  requestsPerDay: number | null;
  concurrent: number | null;
  disabled: boolean;
  /** Where events of its generations go; null: nowhere. */
  webhookUrl: string | null;
}

export interface NewKey extends Partial<KeySettings> {
  name: string;
  kind: KeyKind;
}

/** Who changes a key: the hash of a management key, or `commandLine`. */
export const commandLine = "command-line";

export interface KeyPorts {
  clock: Clock;
  random: Random;
}

/** @returns the stored key and its secret, which nobody can ever show again */
export async function createKey(
  database: Database,
  wanted: NewKey,
  actor: string,
  ports: KeyPorts,
): Promise<{ key: Key; secret: string }> {
  const secret = keyPrefixes[wanted.kind] + newSecret(ports.random);
  const hash = hashSecret(secret);
  const { kind, ...settings } = wanted;
  const row = {
    hash,
    label: `${secret.slice(0, 12)}…${secret.slice(-4)}`,
    kind,
    created_at: ports.clock.now(),
    ...columnsOf(settings),
    name: wanted.name,
  };
  const key = await inTransaction(database, async (transaction) => {
    await transaction.insertInto("keys").values(row).execute();
    await transaction
      .insertInto("key_counters")
      .values({ key_hash: hash, ...emptyCounters })
      .execute();
    await audit(
      transaction,
      { actor, action: "create", key_hash: hash, changes: JSON.stringify(described(wanted)) },
      ports,
    );
    return transaction.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirstOrThrow();
  });
  return { key, secret };
}

const emptyCounters = {
  held_nanos: 0n,
  used_nanos: 0n,
  period_start: 0,
  charged_nanos: 0n,
  running: 0,
  day_requests: 0,
  day_start: 0,
};

/**
 * Changes a key's settings; acts at once, also on servers that are running.
 * @throws PublicError not_found when there is no such key any more
 */
export async function updateKey(
  database: Database,
  hash: string,
  changes: Partial<KeySettings>,
  actor: string,
  ports: KeyPorts,
): Promise<Key> {
  return inTransaction(database, async (transaction) => {
    const now = ports.clock.now();
    const changed = await transaction
      .updateTable("keys")
      .set({ ...columnsOf(changes), updated_at: now })
      .where("hash", "=", hash)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (changed.numUpdatedRows === 0n) throw noSuchKey();
    if (changes.limitReset !== undefined) await changePeriod(transaction, hash, changes.limitReset, now);
    await audit(
      transaction,
      { actor, action: "update", key_hash: hash, changes: JSON.stringify(described(changes)) },
      ports,
    );
    return transaction.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirstOrThrow();
  });
}

/**
 * A deleted key is gone for clients at once and kept for reports.
 * @throws PublicError not_found when there is no such key any more
 */
export async function deleteKey(database: Database, hash: string, actor: string, ports: KeyPorts): Promise<void> {
  const now = ports.clock.now();
  await inTransaction(database, async (transaction) => {
    const deleted = await transaction
      .updateTable("keys")
      .set({ deleted_at: now, updated_at: now })
      .where("hash", "=", hash)
      .where("deleted_at", "is", null)
      .executeTakeFirst();
    if (deleted.numUpdatedRows === 0n) throw noSuchKey();
    await audit(transaction, { actor, action: "delete", key_hash: hash, changes: "{}" }, ports);
  });
}

export const noSuchKey = () => new PublicError("not_found", "No key has this hash.");

type SettingColumns = Partial<
  Pick<
    Insertable<KeysTable>,
    | "expires_at"
    | "limit_nanos"
    | "limit_reset"
    | "allowed_models"
    | "allowed_providers"
    | "requests_per_minute"
    | "requests_per_day"
    | "concurrent"
    | "disabled"
    | "webhook_url"
  >
> & { name?: string };

function inTransaction<T>(database: Database, work: (transaction: DatabaseTransaction) => Promise<T>): Promise<T> {
  return database.isTransaction ? work(database as DatabaseTransaction) : database.transaction().execute(work);
}

function columnsOf(settings: Partial<KeySettings>): SettingColumns {
  const list = (ids: string[] | null) => (ids === null ? null : JSON.stringify(ids));
  const { name, expiresAt, limit, limitReset, allowedModels, allowedProviders, disabled } = settings;
  return {
    ...(name === undefined ? {} : { name }),
    ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    ...(limit === undefined ? {} : { limit_nanos: limit }),
    ...(limitReset === undefined ? {} : { limit_reset: limitReset }),
    ...(allowedModels === undefined ? {} : { allowed_models: list(allowedModels) }),
    ...(allowedProviders === undefined ? {} : { allowed_providers: list(allowedProviders) }),
    ...(settings.requestsPerMinute === undefined ? {} : { requests_per_minute: settings.requestsPerMinute }),
    ...(settings.requestsPerDay === undefined ? {} : { requests_per_day: settings.requestsPerDay }),
    ...(settings.concurrent === undefined ? {} : { concurrent: settings.concurrent }),
    ...(disabled === undefined ? {} : { disabled: disabled ? 1 : 0 }),
    ...(settings.webhookUrl === undefined ? {} : { webhook_url: settings.webhookUrl }),
  };
}

/** Settings as the audit keeps them: money as a decimal number of nano-dollars in text. */
function described(settings: object): object {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, typeof value === "bigint" ? String(value) : value]),
  );
}

async function audit(
  transaction: DatabaseTransaction,
  entry: Omit<Insertable<AuditTable>, "id" | "created_at">,
  ports: KeyPorts,
): Promise<void> {
  await transaction
    .insertInto("audit")
    .values({ id: newId("aud", ports.clock, ports.random), created_at: ports.clock.now(), ...entry })
    .execute();
}

/**
 * The key behind a presented credential. Good and bad credentials cost the same work: one hash, one look-up.
 * @throws PublicError invalid_api_key, key_disabled, key_expired
 */
export async function authenticate(database: Database, secret: string, clock: Clock): Promise<Key> {
  const hash = hashSecret(secret);
  const key = await database.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirst();
  return usable(key, clock);
}

/** The key's row as it is now, read in the transaction that relies on it. */
export async function recheckKey(transaction: DatabaseTransaction, hash: string, clock: Clock): Promise<Key> {
  const key = await transaction.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirst();
  return usable(key, clock);
}

function usable(key: Key | undefined, clock: Clock): Key {
  if (key === undefined || key.deleted_at !== null) {
    throw new PublicError("invalid_api_key", "Incorrect API key provided. Make one with `npx arouter keys create`.");
  }
  if (key.disabled !== 0) throw new PublicError("key_disabled", "This API key is disabled.");
  if (key.expires_at !== null && key.expires_at <= clock.now()) {
    throw new PublicError("key_expired", `This API key expired at ${new Date(key.expires_at).toISOString()}.`);
  }
  return key;
}

/**
 * The rows that own what `arouter generate` makes in its own process. Their hash is no hash, so no secret leads to them:
 * they are nobody's keys, and therefore not listed, not changed, and not counted as a database's first keys.
 */
const commandLineHash = "command-line-";
/** Matches their hashes in `like`. */
export const ofCommandLine = `${commandLineHash}%`;

/** The command line's own row, made when it is first needed. */
export async function commandLineKey(database: Database, kind: "live" | "test", clock: Clock): Promise<Key> {
  const hash = commandLineHash + kind;
  const name = `command line (${kind === "live" ? "live" : "sandbox"})`;
  return inTransaction(database, async (transaction) => {
    await transaction
      .insertInto("keys")
      .values({ hash, name, label: "command line", kind, created_at: clock.now() })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await transaction
      .insertInto("key_counters")
      .values({ key_hash: hash, ...emptyCounters })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return transaction.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirstOrThrow();
  });
}

/** Newest first; deleted keys are left out. */
export async function listKeys(database: Database): Promise<Key[]> {
  return database
    .selectFrom("keys")
    .selectAll()
    .where("deleted_at", "is", null)
    .where("hash", "not like", ofCommandLine)
    .orderBy("created_at", "desc")
    .orderBy("hash")
    .execute();
}

/** @throws PublicError not_found when nothing or more than one thing matches */
export async function findKey(database: Database, hashOrName: string): Promise<Key> {
  const found = await database
    .selectFrom("keys")
    .selectAll()
    .where("deleted_at", "is", null)
    .where("hash", "not like", ofCommandLine)
    .where((where) => where.or([where("hash", "=", hashOrName), where("name", "=", hashOrName)]))
    .execute();
  const [first, second] = found;
  if (first === undefined) throw new PublicError("not_found", `No key has the hash or name '${hashOrName}'.`);
  if (second !== undefined) {
    throw new PublicError(
      "not_found",
      `${found.length} keys are named '${hashOrName}'; use the hash (see \`keys list\`).`,
    );
  }
  return first;
}
