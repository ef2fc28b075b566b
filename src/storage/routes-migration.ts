/** Migration 0005: what several routes, edits, streams and webhooks need of generations and attempts. */
import type { Kysely } from "kysely";
import type { Migration } from "kysely/migration";

interface EarlierTables {
  attempts: {
    generation_id: string;
    sequence: number;
    status: string;
    upstream_id: string | null;
    poll_call: string | null;
    cancel_call: string | null;
    pending: string | null;
  };
}

/** Jobs that upstreams have taken and that run on over the upgrade. */
async function keepPendingJobs(database: Kysely<EarlierTables>): Promise<void> {
  const rows = await database
    .selectFrom("attempts")
    .select(["generation_id", "sequence", "upstream_id", "poll_call", "cancel_call"])
    .where("status", "=", "running")
    .where("poll_call", "is not", null)
    .execute();
  for (const { generation_id, sequence, upstream_id, poll_call, cancel_call } of rows) {
    const cancel = cancel_call === null ? {} : { cancel: JSON.parse(cancel_call) };
    const pending = { upstreamId: upstream_id, poll: JSON.parse(poll_call ?? "null"), ...cancel, afterMs: 0 };
    await database
      .updateTable("attempts")
      .set({ pending: JSON.stringify(pending) })
      .where("generation_id", "=", generation_id)
      .where("sequence", "=", sequence)
      .execute();
  }
}

/** Several rounds of calls for one generation, edits, and what a webhook about it needs. */
export const routes: Migration = {
  async up(database: Kysely<unknown>) {
    const { schema } = database;
    await schema
      .alterTable("generations")
      .addColumn("operation", "text", (column) => column.notNull().defaultTo("generate"))
      .execute();
    for (const name of ["echoed", "webhook_url", "origin"]) {
      await schema.alterTable("generations").addColumn(name, "text").execute();
    }
    await schema
      .alterTable("attempts")
      .addColumn("round", "integer", (column) => column.notNull().defaultTo(0))
      .execute();
    await schema.alterTable("attempts").addColumn("catalogue_model", "text").execute();
    for (const name of ["sent_at", "first_byte_at"]) {
      await schema.alterTable("attempts").addColumn(name, "bigint").execute();
    }
    await schema.alterTable("attempts").addColumn("pending", "text").execute();
    await keepPendingJobs(database as Kysely<EarlierTables>);
    for (const name of ["poll_call", "cancel_call"]) await schema.alterTable("attempts").dropColumn(name).execute();
  },
};
