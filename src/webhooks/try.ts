/** A signed event that tells of nothing, so that somebody can see whether a recipient works. It is not in the log. */
import { newId } from "../ids.ts";
import type { WebhookPorts } from "./ports.ts";
import { type Message, type Posted, post } from "./post.ts";

export interface Tried extends Posted {
  message: Message;
}

/** Sends one `webhook.test` event, once. @param secrets `whsec_…` */
export async function sendTestEvent(ports: WebhookPorts, url: string, secrets: readonly string[]): Promise<Tried> {
  const message = {
    url,
    id: newId("req", ports.clock, ports.random).replace("req-", "evt-test-"),
    body: JSON.stringify({
      type: "webhook.test",
      timestamp: new Date(ports.clock.now()).toISOString(),
      data: { message: "This is a test. Nothing has happened." },
    }),
    secrets,
  };
  return { ...(await post(ports, message)), message };
}
