/** Webhooks: the secrets that sign them, the log of their deliveries, and what an event says. */
import type { Hono } from "hono";
import { readKeyFigures } from "../accounts/key-view.ts";
import { type Key, noSuchKey } from "../accounts/keys.ts";
import { invalidValue, missing, unknownParameter } from "../catalogue/wording.ts";
import { findGeneration } from "../generation/records.ts";
import { deliveryObject, listDeliveries } from "../webhooks/list.ts";
import type { DeliveryPorts } from "../webhooks/ports.ts";
import { readSecrets, rotateSecret, type WebhookSecrets } from "../webhooks/secrets.ts";
import type { DeliveryStatus } from "../webhooks/tables.ts";
import { generationObject } from "./generation-object.ts";
import { methods } from "./methods.ts";
import { formatPageToken, integer, keyHash, oneOf, pageToken, readQuery, text } from "./query.ts";
import { authenticate, readJsonObject } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

const defaultRows = 50;
const statuses = ["pending", "delivered", "given_up"] as const satisfies DeliveryStatus[];

export function addWebhooks(app: Hono<Env>, server: Server): void {
  methods(app, "/api/v1/webhooks/secret", {
    GET: async (c) => {
      const reader = await authenticate(server, c);
      const hash = await signerOf(server, reader, readQuery(c, { key_hash: keyHash }).key_hash);
      return answerSecrets(c, await readSecrets(server.database, hash, server));
    },
  });
  methods(app, "/api/v1/webhooks/secret/rotate", {
    POST: async (c) => {
      const actor = await authenticate(server, c);
      const { key_hash } = readQuery(c, { key_hash: keyHash });
      await refuseBody(c);
      const hash = await signerOf(server, actor, key_hash);
      return answerSecrets(c, await rotateSecret(server.database, hash, actor.hash, server));
    },
  });
  methods(app, "/api/v1/webhooks/deliveries", { GET: (c) => answerDeliveries(server, c) });
}

/**
 * What `keepDelivering` asks when it makes an event: the generation object as it is at that moment, so that links are
 * fresh and a prompt that is no longer kept is not sent either.
 */
export function describeGenerations(server: Server): DeliveryPorts["describe"] {
  return async (id, origin) => {
    const record = await findGeneration(server.database, id);
    if (record === null) return null;
    const { status } = record.generation;
    if (status !== "succeeded" && status !== "failed" && status !== "canceled") {
      throw new Error(`a generation with an event has not ended: ${status}`);
    }
    return { outcome: status, generation: generationObject(server, record, origin) };
  };
}

/**
 * Hash of the key whose secret is meant: the reader's own, or any inference key's for a management key.
 * @throws PublicError not_found for another's: to others it does not exist
 */
async function signerOf(server: Server, reader: Key, wanted: string | undefined): Promise<string> {
  if (reader.kind !== "management") {
    if (wanted !== undefined && wanted !== reader.hash) throw noSuchKey();
    return reader.hash;
  }
  if (wanted === undefined) throw missing("key_hash");
  const figures = await readKeyFigures(server.database, wanted, server.clock.now());
  if (figures === undefined) throw noSuchKey();
  if (figures.key.kind === "management") {
    throw invalidValue("key_hash", "Invalid 'key_hash': a management key makes no images, so it signs nothing.");
  }
  return wanted;
}

/** The secret in force; of replaced ones only until when they sign. */
function answerSecrets(c: HttpContext, { keyHash: hash, secret, createdAt, previous }: WebhookSecrets): Response {
  c.header("cache-control", "no-store");
  const data = {
    key_hash: hash,
    secret,
    created_at: iso(createdAt),
    previous: previous.map((one) => ({ created_at: iso(one.createdAt), signs_until: iso(one.signsUntil) })),
  };
  return c.json({ data });
}

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** Nothing is said in a body here; what somebody says all the same must not be passed over. */
async function refuseBody(c: HttpContext): Promise<void> {
  const length = c.req.header("content-length") ?? "0";
  if (length === "0" && c.req.header("transfer-encoding") === undefined) return;
  const [name] = Object.keys(await readJsonObject(c));
  if (name !== undefined) throw unknownParameter(name);
}

async function answerDeliveries(server: Server, c: HttpContext): Promise<Response> {
  const reader = await authenticate(server, c);
  const query = readQuery(c, {
    generation: text,
    status: oneOf(...statuses),
    key_hash: keyHash,
    limit: integer(1, 100),
    page_token: pageToken,
  });
  const filter = { keyHash: visible(reader, query.key_hash), generationId: query.generation, status: query.status };
  const limit = query.limit ?? defaultRows;
  const { rows, next } = await listDeliveries(server.database, filter, limit, query.page_token ?? null);
  return c.json({ data: rows.map(deliveryObject), next_page_token: formatPageToken(next) });
}

/** All (undefined), or any, for management keys; only their own for others. @throws PublicError not_found */
function visible(reader: Key, wanted: string | undefined): string | undefined {
  if (reader.kind === "management") return wanted;
  if (wanted !== undefined && wanted !== reader.hash) throw noSuchKey();
  return reader.hash;
}
