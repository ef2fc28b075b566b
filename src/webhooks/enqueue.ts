/** An event becomes due in the transaction that makes it true, so that no crash loses it. */
import type { DatabaseTransaction } from "../database.ts";

export interface NewDelivery {
  generationId: string;
  /** The key that made the generation; its secret signs. */
  keyHash: string;
  /** As `checkWebhookUrl` accepted it. */
  url: string;
  /** Origin of the links in the event. */
  origin: string;
  /** When the generation ended, Unix milliseconds. */
  now: number;
}

/** Call it in the transaction that ends the generation. A generation has one event: a second call changes nothing. */
export async function enqueue(transaction: DatabaseTransaction, delivery: NewDelivery): Promise<void> {
  const { generationId, keyHash, url, origin, now } = delivery;
  await transaction
    .insertInto("webhook_deliveries")
    .values({
      id: eventIdOf(generationId),
      generation_id: generationId,
      key_hash: keyHash,
      url,
      // Nothing about a webhook may keep a generation from being settled, whatever the URL is.
      host: URL.parse(url)?.hostname ?? "",
      origin,
      status: "pending",
      created_at: now,
      attempts: 0,
      next_attempt_at: now,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** `evt-…`: foreseeable, so that one generation can never have two events. Without a full stop, as signing needs it. */
export function eventIdOf(generationId: string): string {
  return `evt-${generationId.replace(/^gen-/, "")}`;
}
