/** Forward-only migrations, shared by every database. A migration that has been released is never edited. */
import { type ColumnDefinitionBuilder, type Kysely, sql } from "kysely";
import type { Migration } from "kysely/migration";
import { createWebhookTables } from "../webhooks/migration.ts";
import { routes } from "./routes-migration.ts";

const initial: Migration = {
  async up(database: Kysely<unknown>) {
    const { schema } = database;
    await schema
      .createTable("keys")
      .addColumn("hash", "text", (column) => column.primaryKey())
      .addColumn("name", "text", (column) => column.notNull())
      .addColumn("label", "text", (column) => column.notNull())
      .addColumn("kind", "text", (column) => column.notNull())
      .addColumn("disabled", "integer", (column) => column.notNull().defaultTo(0))
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addColumn("updated_at", "bigint")
      .addColumn("expires_at", "bigint")
      .addColumn("deleted_at", "bigint")
      .execute();
    await schema
      .createTable("generations")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("key_hash", "text", (column) => column.notNull())
      .addColumn("request_id", "text", (column) => column.notNull())
      .addColumn("status", "text", (column) => column.notNull())
      .addColumn("model", "text", (column) => column.notNull())
      .addColumn("provider", "text", (column) => column.notNull())
      .addColumn("requested", "text", (column) => column.notNull())
      .addColumn("has_prompt", "integer", (column) => column.notNull().defaultTo(1))
      .addColumn("images_requested", "integer", (column) => column.notNull())
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addColumn("finished_at", "bigint")
      .addColumn("quote_nanos", "bigint", (column) => column.notNull())
      .addColumn("cost_nanos", "bigint", (column) => column.notNull())
      .addColumn("price_rule", "text", (column) => column.notNull())
      .addColumn("owner", "text", (column) => column.notNull())
      .addColumn("lease_until", "bigint", (column) => column.notNull())
      .addColumn("error", "text")
      .addColumn("warnings", "text")
      .addColumn("usage", "text")
      .addColumn("user", "text")
      .addColumn("referer", "text")
      .addColumn("title", "text")
      .execute();
    // Small partial indexes: what the sweeper and the restart look for stays tiny however many rows are kept.
    await schema
      .createIndex("generations_unfinished")
      .on("generations")
      .column("lease_until")
      .where("status" as never, "in", ["queued", "running"])
      .execute();
    await schema
      .createIndex("generations_with_prompt")
      .on("generations")
      .column("created_at")
      .where("has_prompt" as never, "=", 1)
      .execute();
    await schema
      .createTable("attempts")
      .addColumn("generation_id", "text", (column) => column.notNull())
      .addColumn("sequence", "integer", (column) => column.notNull())
      .addColumn("provider", "text", (column) => column.notNull())
      .addColumn("model", "text", (column) => column.notNull())
      .addColumn("image_offset", "integer", (column) => column.notNull())
      .addColumn("image_count", "integer", (column) => column.notNull())
      .addColumn("status", "text", (column) => column.notNull())
      .addColumn("sent", "text", (column) => column.notNull())
      .addColumn("credential", "text", (column) => column.notNull())
      .addColumn("started_at", "bigint", (column) => column.notNull())
      .addColumn("finished_at", "bigint")
      .addColumn("upstream_id", "text")
      .addColumn("poll_call", "text")
      .addColumn("cancel_call", "text")
      .addColumn("error", "text")
      .addPrimaryKeyConstraint("attempts_primary_key", ["generation_id", "sequence"])
      .execute();
    await schema
      .createTable("images")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("generation_id", "text", (column) => column.notNull())
      .addColumn("position", "integer", (column) => column.notNull())
      .addColumn("content_type", "text", (column) => column.notNull())
      .addColumn("width", "integer", (column) => column.notNull())
      .addColumn("height", "integer", (column) => column.notNull())
      .addColumn("bytes", "bigint", (column) => column.notNull())
      .addColumn("revised_prompt", "text")
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addColumn("expires_at", "bigint", (column) => column.notNull())
      .addColumn("deleted_at", "bigint")
      .execute();
    await schema.createIndex("images_by_generation").on("images").column("generation_id").execute();
    await schema
      .createIndex("images_live")
      .on("images")
      .column("expires_at")
      .where("deleted_at" as never, "is", null)
      .execute();
    await schema
      .createTable("facts")
      .addColumn("name", "text", (column) => column.primaryKey())
      .addColumn("value", "text", (column) => column.notNull())
      .execute();
  },
};

const money: Migration = {
  async up(database: Kysely<unknown>) {
    const { schema } = database;
    for (const name of ["limit_nanos", "requests_per_minute", "requests_per_day", "concurrent"]) {
      await schema.alterTable("keys").addColumn(name, "bigint").execute();
    }
    for (const name of ["limit_reset", "allowed_models", "allowed_providers"]) {
      await schema.alterTable("keys").addColumn(name, "text").execute();
    }
    await schema.createIndex("keys_by_time").on("keys").columns(["created_at", "hash"]).execute();
    await schema
      .alterTable("generations")
      .addColumn("fingerprint", "text", (column) => column.notNull().defaultTo(""))
      .execute();
    await schema
      .alterTable("generations")
      .addColumn("cancel_requested", "integer", (column) => column.notNull().defaultTo(0))
      .execute();
    await schema.alterTable("generations").addColumn("size", "text").execute();
    await schema
      .createIndex("generations_by_fingerprint")
      .on("generations")
      .columns(["key_hash", "fingerprint", "created_at"])
      .execute();
    await schema.createIndex("generations_by_time").on("generations").columns(["created_at", "id"]).execute();
    await schema
      .createIndex("generations_by_key")
      .on("generations")
      .columns(["key_hash", "created_at", "id"])
      .execute();
    const required = (column: ColumnDefinitionBuilder) => column.notNull().defaultTo(0);
    await schema
      .createTable("key_counters")
      .addColumn("key_hash", "text", (column) => column.primaryKey())
      .addColumn("held_nanos", "bigint", required)
      .addColumn("used_nanos", "bigint", required)
      .addColumn("period_start", "bigint", required)
      .addColumn("charged_nanos", "bigint", required)
      .addColumn("running", "integer", required)
      .addColumn("day_requests", "integer", required)
      .addColumn("day_start", "bigint", required)
      .execute();
    await sql`insert into key_counters (key_hash) select hash from keys`.execute(database);
    await schema
      .createTable("recent_requests")
      .addColumn("key_hash", "text", (column) => column.notNull())
      .addColumn("at", "bigint", (column) => column.notNull())
      .execute();
    await schema.createIndex("recent_requests_by_key").on("recent_requests").columns(["key_hash", "at"]).execute();
    await schema
      .createTable("account")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("credited_nanos", "bigint", required)
      .addColumn("charged_nanos", "bigint", required)
      .addColumn("held_nanos", "bigint", required)
      .execute();
    await sql`insert into account (id) values ('default')`.execute(database);
    await schema
      .createTable("movements")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addColumn("kind", "text", (column) => column.notNull())
      .addColumn("amount_nanos", "bigint", (column) => column.notNull())
      .addColumn("key_hash", "text")
      .addColumn("generation_id", "text")
      .addColumn("attempts", "text")
      .addColumn("model", "text")
      .addColumn("provider", "text")
      .addColumn("images", "integer")
      .addColumn("price_rule", "text")
      .addColumn("provider_cost_nanos", "bigint")
      .addColumn("note", "text")
      .execute();
    await schema.createIndex("movements_by_generation").on("movements").column("generation_id").execute();
    await schema
      .createIndex("movements_by_key")
      .on("movements")
      .columns(["key_hash", "kind", "created_at", "id"])
      .execute();
    await schema.createIndex("movements_by_kind").on("movements").columns(["kind", "created_at", "id"]).execute();
    await schema
      .createTable("usage_hours")
      .addColumn("hour", "bigint", (column) => column.notNull())
      .addColumn("key_hash", "text", (column) => column.notNull())
      .addColumn("model", "text", (column) => column.notNull())
      .addColumn("provider", "text", (column) => column.notNull())
      .addColumn("requests", "bigint", required)
      .addColumn("images", "bigint", required)
      .addColumn("cost_nanos", "bigint", required)
      .addPrimaryKeyConstraint("usage_hours_primary_key", ["hour", "key_hash", "model", "provider"])
      .execute();
    await schema.createIndex("usage_hours_by_key").on("usage_hours").columns(["key_hash", "hour"]).execute();
    await schema
      .createTable("idempotency")
      .addColumn("key_hash", "text", (column) => column.notNull())
      .addColumn("idempotency_key", "text", (column) => column.notNull())
      .addColumn("fingerprint", "text", (column) => column.notNull())
      .addColumn("generation_id", "text", (column) => column.notNull())
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addPrimaryKeyConstraint("idempotency_primary_key", ["key_hash", "idempotency_key"])
      .execute();
    await schema.createIndex("idempotency_by_time").on("idempotency").column("created_at").execute();
    await schema
      .createTable("audit")
      .addColumn("id", "text", (column) => column.primaryKey())
      .addColumn("created_at", "bigint", (column) => column.notNull())
      .addColumn("actor", "text", (column) => column.notNull())
      .addColumn("action", "text", (column) => column.notNull())
      .addColumn("key_hash", "text", (column) => column.notNull())
      .addColumn("changes", "text", (column) => column.notNull())
      .execute();
  },
};

/** Reports walk an index from the newest row on, whatever they are filtered by; sweeps find what is old without a scan. */
const reports: Migration = {
  async up(database: Kysely<unknown>) {
    const { schema } = database;
    for (const name of ["model", "provider"]) {
      await schema
        .createIndex(`generations_by_${name}`)
        .on("generations")
        .columns([name, "created_at", "id"])
        .execute();
    }
    // Without the many that succeeded it stays small.
    await schema
      .createIndex("generations_by_status")
      .on("generations")
      .columns(["status", "created_at", "id"])
      .where("status" as never, "<>", "succeeded")
      .execute();
    await schema.createIndex("recent_requests_by_time").on("recent_requests").column("at").execute();
  },
};

export const migrations: Record<string, Migration> = {
  "0001_initial": initial,
  "0002_money": money,
  "0003_reports": reports,
  "0004_webhooks": { up: createWebhookTables },
  "0005_routes": routes,
};
