/** Recipients of webhooks behind real sockets, a check of signatures that shares nothing with ours, and readings of the log. */
import { startRouter, type TestRouter, type TestRouterOptions } from "../router.ts";

export const hourMs = 3_600_000;
/** Longer than the worker's pause between two looks. */
export const oneLookMs = 1_200;

export interface Received {
  method: string;
  path: string;
  headers: Headers;
  body: string;
}

export interface Event {
  type: string;
  timestamp: string;
  data: { id: string; status: string; requested: Record<string, unknown>; data: { url?: string }[] };
}

export interface Recipient {
  /** With a path. */
  url: string;
  origin: string;
  received: Received[];
  /** The most requests that were open at once. */
  mostAtOnce: number;
  /** What it answers; 204 by default. */
  answer: (received: Received, position: number) => Response | Promise<Response>;
  /** Resolves once so many have arrived. @throws after fifteen seconds */
  has(count: number): Promise<Received[]>;
  stop(): Promise<void>;
}

/** @param options a host name other than 127.0.0.1 must be resolved by the router's `resolve`; `tls` makes it https */
export function startRecipient(options: { host?: string; tls?: { key: string; cert: string } } = {}): Recipient {
  let open = 0;
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    async fetch(request) {
      open += 1;
      recipient.mostAtOnce = Math.max(recipient.mostAtOnce, open);
      try {
        const { method, headers } = request;
        const received = { method, path: new URL(request.url).pathname, headers, body: await request.text() };
        const position = recipient.received.push(received) - 1;
        return await recipient.answer(received, position);
      } finally {
        open -= 1;
      }
    },
  });
  const scheme = options.tls === undefined ? "http" : "https";
  const origin = `${scheme}://${options.host ?? "127.0.0.1"}:${server.port}`;
  const recipient: Recipient = {
    url: `${origin}/hooks?shop=1`,
    origin,
    received: [],
    mostAtOnce: 0,
    answer: () => new Response(null, { status: 204 }),
    async has(count) {
      await eventually(() => recipient.received.length >= count, `${count} webhooks`);
      return recipient.received;
    },
    stop: () => server.stop(true),
  };
  return recipient;
}

/** Looks every 20 ms. @throws after `patienceMs` */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string,
  patienceMs = 15_000,
): Promise<void> {
  const until = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > until) throw new Error(`after ${patienceMs} ms: ${what}`);
    await Bun.sleep(20);
  }
}

export const eventOf = ({ body }: Received): Event => JSON.parse(body) as Event;

/**
 * The specification's check with the web's own cryptography: whether one of the signatures is of this secret.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export async function isSignedBy(
  secret: string,
  { headers, body }: Pick<Received, "headers" | "body">,
): Promise<boolean> {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+=*)$/.exec(secret) ?? [];
  const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  const signed = new TextEncoder().encode(
    [headers.get("webhook-id"), headers.get("webhook-timestamp"), body].join("."),
  );
  for (const entry of (headers.get("webhook-signature") ?? "").split(" ")) {
    const [version, signature = ""] = entry.split(",");
    if (version !== "v1") continue;
    const given = Uint8Array.from(atob(signature), (character) => character.charCodeAt(0));
    if (await crypto.subtle.verify("HMAC", key, given, signed)) return true;
  }
  return false;
}

export interface Delivery {
  id: string;
  event: string | null;
  generation_id: string;
  key_hash: string;
  url: string;
  status: string;
  attempts: number;
  created_at: string;
  last_attempt_at: string | null;
  next_attempt_at: string | null;
  finished_at: string | null;
  last_status: number | null;
  last_error: string | null;
}

export interface WebhookRouter extends TestRouter {
  /** Makes one picture in the sandbox and answers the generation's id. */
  make(body?: Record<string, unknown>, key?: string): Promise<string>;
  call(method: string, path: string, body?: unknown, key?: string): Promise<Response>;
  secretOf(key: string): Promise<string>;
  deliveries(query?: string): Promise<Delivery[]>;
  /** The generation's delivery once it is as wanted. */
  deliveryOf(generation: string, wanted: (delivery: Delivery) => boolean): Promise<Delivery>;
}

export async function startWebhookRouter(
  recipients: Pick<Recipient, "origin">[],
  options: TestRouterOptions = {},
): Promise<WebhookRouter> {
  const env = { AROUTER_WEBHOOK_ORIGINS: recipients.map(({ origin }) => origin).join(","), ...options.env };
  const router = await startRouter({ ...options, env });
  const call = (method: string, path: string, body?: unknown, key = router.keys.management) =>
    fetch(router.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const read = async <T>(path: string, key?: string): Promise<T> => {
    const answer = await call("GET", path, undefined, key);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { data: T }).data;
  };
  const deliveries = (query = "") => read<Delivery[]>(`/api/v1/webhooks/deliveries?limit=100${query}`);
  return {
    ...router,
    call,
    async make(body = {}, key = router.keys.test) {
      const answer = await router.generate(
        { model: "openai/dall-e-2", prompt: "A lighthouse", size: "256x256", ...body },
        { key },
      );
      await answer.arrayBuffer();
      return answer.headers.get("x-arouter-generation-id") ?? "";
    },
    secretOf: async (key) => (await read<{ secret: string }>("/api/v1/webhooks/secret", key)).secret,
    deliveries,
    async deliveryOf(generation, wanted) {
      let found: Delivery | undefined;
      const looks = async () => {
        [found] = await deliveries(`&generation=${generation}`);
        return found !== undefined && wanted(found);
      };
      await eventually(looks, "the delivery is not as wanted").catch((error: Error) => {
        throw new Error(`${error.message}: ${JSON.stringify(found)}`);
      });
      return found as Delivery;
    },
  };
}
