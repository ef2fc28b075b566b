/** The tables of webhooks, as `database.ts` takes them in. Times are Unix milliseconds. */

/** `given_up`: the recipient answered 410, or the day was over. */
export type DeliveryStatus = "pending" | "delivered" | "given_up";

/** What signs a key's events. Unlike the key's own secret it must be read again for every signature. */
export interface WebhookSecretsTable {
  key_hash: string;
  /** `whsec_…` */
  secret: string;
  created_at: number;
  /** Null for the one in force; one that was replaced signs beside it until then. */
  retires_at: number | null;
}

/** One row an event: the delivery and its log. The event itself is made anew for every attempt and never kept. */
export interface WebhookDeliveriesTable {
  /** The event's id, the same over all attempts: `webhook-id`. */
  id: string;
  generation_id: string;
  key_hash: string;
  url: string;
  /** The URL's host name: so many deliveries at once go to one. */
  host: string;
  /** Origin of the links in the event. */
  origin: string;
  status: DeliveryStatus;
  /** When the event happened. */
  created_at: number;
  finished_at: number | null;
  /** Begun attempts. Also the claim of the one under way: whoever counts it up makes it, and it alone records its end. */
  attempts: number;
  last_attempt_at: number | null;
  /** Null once it has ended. While an attempt is under way: when the next program may take it for lost. */
  next_attempt_at: number | null;
  /** HTTP status of the last answer; null when there was none. */
  last_status: number | null;
  last_error: string | null;
}
