/** Forward-only migrations, shared by every database. A migration that has been released is never edited. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

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

export const migrations: Record<string, Migration> = { "0001_initial": initial };
