/** The keys of a new database, made once in its life. */
import type { Database, KeyKind } from "../database.ts";
import { commandLine, createKey, type KeyPorts, ofCommandLine } from "./keys.ts";

/**
 * Makes one key of each kind on an empty database, once in its life, whoever starts first.
 * @returns the three secrets, or null when keys have been made before
 */
export async function bootstrapKeys(database: Database, ports: KeyPorts): Promise<Record<KeyKind, string> | null> {
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
      (await createKey(transaction, { name, kind }, commandLine, ports)).secret;
    return {
      test: await make("test", "first test"),
      live: await make("live", "first live"),
      management: await make("management", "first management"),
    };
  });
}
