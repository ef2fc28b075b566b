/** The delivery log, newest first. */
import { type Selectable, sql } from "kysely";
import type { Database, GenerationStatus } from "../database.ts";
import { eventIdOf } from "./enqueue.ts";
import type { DeliveryStatus, WebhookDeliveriesTable } from "./tables.ts";

export interface DeliveryFilter {
  keyHash?: string | undefined;
  generationId?: string | undefined;
  status?: DeliveryStatus | undefined;
}

/** The last row that has been seen. */
export interface DeliveryPosition {
  createdAt: number;
  id: string;
}

export type ListedDelivery = Selectable<WebhookDeliveriesTable> & { outcome: GenerationStatus | null };

/** `next` is null on the last page. */
export async function listDeliveries(
  database: Database,
  { keyHash, generationId, status }: DeliveryFilter,
  limit: number,
  after: DeliveryPosition | null,
): Promise<{ rows: ListedDelivery[]; next: DeliveryPosition | null }> {
  let query = database
    .selectFrom("webhook_deliveries as delivery")
    .leftJoin("generations", "generations.id", "delivery.generation_id")
    .selectAll("delivery")
    .select("generations.status as outcome")
    .orderBy("delivery.created_at", "desc")
    .orderBy("delivery.id", "desc")
    .limit(limit + 1);
  if (keyHash !== undefined) query = query.where("delivery.key_hash", "=", keyHash);
  if (generationId !== undefined) {
    // The primary key finds it.
    query = query.where("delivery.id", "=", eventIdOf(generationId)).where("delivery.generation_id", "=", generationId);
  }
  if (status !== undefined) query = query.where("delivery.status", "=", status);
  if (after !== null) {
    query = query.where(sql<boolean>`(delivery.created_at, delivery.id) < (${after.createdAt}, ${after.id})`);
  }
  const rows = await query.execute();
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    rows: rows.slice(0, limit),
    next: last === undefined ? null : { createdAt: last.created_at, id: last.id },
  };
}

/** A delivery as the API and the command show it. */
export function deliveryObject(delivery: ListedDelivery) {
  return {
    id: delivery.id,
    object: "webhook.delivery",
    event: delivery.outcome === null ? null : `generation.${delivery.outcome}`,
    generation_id: delivery.generation_id,
    key_hash: delivery.key_hash,
    url: delivery.url,
    status: delivery.status,
    attempts: delivery.attempts,
    created_at: iso(delivery.created_at),
    last_attempt_at: iso(delivery.last_attempt_at),
    next_attempt_at: iso(delivery.next_attempt_at),
    finished_at: iso(delivery.finished_at),
    last_status: delivery.last_status,
    last_error: delivery.last_error,
  };
}

const iso = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : new Date(milliseconds).toISOString();

/** Events that are not delivered yet and not given up. */
export async function countPending(database: Database): Promise<number> {
  const { pending } = await database
    .selectFrom("webhook_deliveries")
    .select(({ fn }) => fn.countAll<number | string>().as("pending"))
    .where("status", "=", "pending")
    .executeTakeFirstOrThrow();
  return Number(pending);
}
