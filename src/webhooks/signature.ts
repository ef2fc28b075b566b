/** Signing by the Standard Webhooks specification, version 1.0.0, symmetric scheme (`v1`). */
import { createHmac } from "node:crypto";
import type { Random } from "../ports.ts";

const prefix = "whsec_";
/** The specification asks for 24 to 64; a multiple of three has no padding in base64. */
const secretBytes = 24;

export function newWebhookSecret(random: Random): string {
  return prefix + Buffer.from(random.bytes(secretBytes)).toString("base64");
}

/**
 * @param id must not hold a full stop: it separates what is signed
 * @param secrets `whsec_…`, at least one; each signs, so that a recipient may know the older or the newer one
 * @param sentAt Unix milliseconds of this attempt, against replays
 */
export function signedHeaders(
  { id, body }: { id: string; body: string },
  secrets: readonly string[],
  sentAt: number,
): Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string> {
  const timestamp = String(Math.floor(sentAt / 1000));
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(prefix.length), "base64");
    return `v1,${createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64")}`;
  });
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}
