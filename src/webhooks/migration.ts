/** The tables of webhooks, for migration `0004_webhooks`. Once released it is never edited. */
import type { Kysely } from "kysely";

export async function createWebhookTables(database: Kysely<unknown>): Promise<void> {
  const { schema } = database;
  await schema.alterTable("keys").addColumn("webhook_url", "text").execute();
  await schema
    .createTable("webhook_secrets")
    .addColumn("key_hash", "text", (column) => column.notNull())
    .addColumn("secret", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("retires_at", "bigint")
    .addPrimaryKeyConstraint("webhook_secrets_primary_key", ["key_hash", "secret"])
    .execute();
  // One secret in force a key, also when two programs make the first one at the same moment.
  await schema
    .createIndex("webhook_secrets_in_force")
    .unique()
    .on("webhook_secrets")
    .column("key_hash")
    .where("retires_at" as never, "is", null)
    .execute();
  await schema
    .createTable("webhook_deliveries")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("generation_id", "text", (column) => column.notNull())
    .addColumn("key_hash", "text", (column) => column.notNull())
    .addColumn("url", "text", (column) => column.notNull())
    .addColumn("host", "text", (column) => column.notNull())
    .addColumn("origin", "text", (column) => column.notNull())
    .addColumn("status", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("finished_at", "bigint")
    .addColumn("attempts", "integer", (column) => column.notNull())
    .addColumn("last_attempt_at", "bigint")
    .addColumn("next_attempt_at", "bigint")
    .addColumn("last_status", "integer")
    .addColumn("last_error", "text")
    .execute();
  // Small: what has ended is not in it.
  await schema
    .createIndex("webhook_deliveries_due")
    .on("webhook_deliveries")
    .columns(["attempts", "next_attempt_at"])
    .where("status" as never, "=", "pending")
    .execute();
  await schema
    .createIndex("webhook_deliveries_by_time")
    .on("webhook_deliveries")
    .columns(["created_at", "id"])
    .execute();
  await schema
    .createIndex("webhook_deliveries_by_key")
    .on("webhook_deliveries")
    .columns(["key_hash", "created_at", "id"])
    .execute();
}
