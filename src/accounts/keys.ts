/** API keys: made once, shown once, stored as a hash. */
import { createHash } from "node:crypto";
import type { Selectable } from "kysely";
import type { Database, KeyKind, KeysTable } from "../database.ts";
import { PublicError } from "../errors.ts";
import { newSecret } from "../ids.ts";
import type { Clock, Random } from "../ports.ts";

export type Key = Selectable<KeysTable>;

export const keyPrefixes: Record<KeyKind, string> = { live: "lr_live_", test: "lr_test_", management: "lr_mgmt_" };

/** SHA-256 in hex. The secrets carry 190 random bits, so that a plain hash cannot be searched. */
export function hashSecret(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

export interface NewKey {
  name: string;
  kind: KeyKind;
  /** Unix milliseconds, or null for never. */
  expiresAt: number | null;
}

/** @returns the stored key and its secret, which nobody can ever show again */
export async function createKey(
  database: Database,
  wanted: NewKey,
  ports: { clock: Clock; random: Random },
): Promise<{ key: Key; secret: string }> {
  const secret = keyPrefixes[wanted.kind] + newSecret(ports.random);
  const key: Key = {
    hash: hashSecret(secret),
    name: wanted.name,
    label: `${secret.slice(0, 12)}…${secret.slice(-4)}`,
    kind: wanted.kind,
    disabled: 0,
    created_at: ports.clock.now(),
    updated_at: null,
    expires_at: wanted.expiresAt,
    deleted_at: null,
  };
  await database.insertInto("keys").values(key).execute();
  return { key, secret };
}

/**
 * The key behind a presented credential. Good and bad credentials cost the same work: one hash, one look-up.
 * @throws PublicError invalid_api_key, key_disabled, key_expired
 */
export async function authenticate(database: Database, secret: string, clock: Clock): Promise<Key> {
  const hash = hashSecret(secret);
  const key = await database.selectFrom("keys").selectAll().where("hash", "=", hash).executeTakeFirst();
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
const commandLine = "command-line-";
const ofCommandLine = `${commandLine}%`;

/** The command line's own row, made when it is first needed. */
export async function commandLineKey(database: Database, kind: "live" | "test", clock: Clock): Promise<Key> {
  const key: Key = {
    hash: commandLine + kind,
    name: `command line (${kind === "live" ? "live" : "sandbox"})`,
    label: "command line",
    kind,
    disabled: 0,
    created_at: clock.now(),
    updated_at: null,
    expires_at: null,
    deleted_at: null,
  };
  await database
    .insertInto("keys")
    .values(key)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  return database.selectFrom("keys").selectAll().where("hash", "=", key.hash).executeTakeFirstOrThrow();
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

/** Acts at once, also on a server that is running. */
export async function disableKey(database: Database, hash: string, clock: Clock): Promise<void> {
  await database.updateTable("keys").set({ disabled: 1, updated_at: clock.now() }).where("hash", "=", hash).execute();
}

export async function deleteKey(database: Database, hash: string, clock: Clock): Promise<void> {
  await database
    .updateTable("keys")
    .set({ deleted_at: clock.now(), updated_at: clock.now() })
    .where("hash", "=", hash)
    .execute();
}

/**
 * Makes one key of each kind on an empty database, once in its life, whoever starts first.
 * @returns the three secrets, or null when keys have been made before
 */
export async function bootstrapKeys(
  database: Database,
  ports: { clock: Clock; random: Random },
): Promise<Record<KeyKind, string> | null> {
  return database.transaction().execute(async (transaction) => {
    const claimed = await transaction
      .insertInto("facts")
      .values({ name: "bootstrap_keys", value: new Date(ports.clock.now()).toISOString() })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (claimed.numInsertedOrUpdatedRows === 0n) return null;
    const any = await transaction
      .selectFrom("keys")
      .select("hash")
      .where("hash", "not like", ofCommandLine)
      .limit(1)
      .executeTakeFirst();
    if (any !== undefined) return null;
    const make = async (kind: KeyKind, name: string) =>
      (await createKey(transaction, { name, kind, expiresAt: null }, ports)).secret;
    return {
      test: await make("test", "first test"),
      live: await make("live", "first live"),
      management: await make("management", "first management"),
    };
  });
}
