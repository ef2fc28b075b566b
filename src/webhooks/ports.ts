/** What webhooks need from outside; a generation's `Context` fits. */
import type { Database } from "../database.ts";
import type { Clock, Logger, Random } from "../ports.ts";
import type { Resolve } from "../providers/address.ts";

export interface WebhookPorts {
  database: Database;
  clock: Clock;
  random: Random;
  logger: Logger;
  config: {
    /** Origins of recipients that the operator vouches for: on private addresses, or without TLS. */
    webhookOrigins: readonly string[];
  };
  transport: { fetch: typeof fetch; resolve: Resolve };
}

/** A generation as an event tells of it. */
export interface DescribedGeneration {
  outcome: "succeeded" | "failed" | "canceled";
  /** The generation object, with links that begin with the origin. */
  generation: object;
}

export interface DeliveryPorts extends WebhookPorts {
  /** The generation as it is at this moment; null when its record is gone. */
  describe(generationId: string, origin: string): Promise<DescribedGeneration | null>;
}
