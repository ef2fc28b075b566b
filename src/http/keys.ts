/** The Key API for management keys, and what a key may know about itself (service-facts.md "Key API"). */
import type { Hono } from "hono";
import { type KeyFigures, type KeyPosition, keyObject, listKeyFigures, readKeyFigures } from "../accounts/key-view.ts";
import { createKey, deleteKey, noSuchKey, updateKey } from "../accounts/keys.ts";
import { integerAbove, integerBelow, invalidType, invalidValue, notInList, shown } from "../catalogue/wording.ts";
import { perMinuteLimit } from "../generation/admit.ts";
import { type KeyBody, type KeyRules, parseKeyChanges, parseNewKey } from "./key-body.ts";
import { methods } from "./methods.ts";
import { readQuery } from "./query.ts";
import { authenticate, readJsonObject, requireManagement } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

const defaultPageSize = 50;
const maxPageSize = 100;
const maxOffset = 1_000_000_000;

export function addKeys(app: Hono<Env>, server: Server): void {
  methods(app, "/api/v1/keys", { GET: (c) => listKeys(server, c), POST: (c) => makeKey(server, c) });
  methods(app, "/api/v1/keys/:hash", {
    GET: async (c) => {
      requireManagement(await authenticate(server, c));
      return c.json({ data: keyObject(await readFigures(server, hashOf(c))) });
    },
    PATCH: (c) => changeKey(server, c),
    DELETE: async (c) => {
      const actor = await authenticate(server, c);
      requireManagement(actor);
      const { key } = await readFigures(server, hashOf(c));
      await deleteKey(server.database, key.hash, actor.hash, server);
      return c.json({ data: { deleted: true } });
    },
  });
  for (const path of ["/v1/key", "/api/v1/key"]) methods(app, path, { GET: (c) => showOwnKey(server, c) });
}

async function makeKey(server: Server, c: HttpContext): Promise<Response> {
  const actor = await authenticate(server, c);
  requireManagement(actor);
  const wanted = parseNewKey(await readKeyBody(c), rulesOf(server));
  const { key, secret } = await createKey(server.database, wanted, actor.hash, server);
  return c.json({ data: keyObject(await readFigures(server, key.hash)), key: secret }, 201);
}

async function changeKey(server: Server, c: HttpContext): Promise<Response> {
  const actor = await authenticate(server, c);
  requireManagement(actor);
  const { key } = await readFigures(server, hashOf(c));
  const changes = parseKeyChanges(await readKeyBody(c), key.kind, rulesOf(server));
  await updateKey(server.database, key.hash, changes, actor.hash, server);
  return c.json({ data: keyObject(await readFigures(server, key.hash)) });
}

async function listKeys(server: Server, c: HttpContext): Promise<Response> {
  requireManagement(await authenticate(server, c));
  const query = readQuery(c, {
    page_size: queryInteger(1, maxPageSize),
    page_token: decodePosition,
    offset: queryInteger(0, maxOffset),
    include_disabled: queryBoolean,
  });
  const { page_size: size = defaultPageSize, page_token: after, offset = 0 } = query;
  if (after !== undefined && offset > 0) {
    const message = "Invalid 'offset': it cannot be combined with 'page_token', which is a place already.";
    throw invalidValue("offset", message);
  }
  const page = { includeDisabled: query.include_disabled ?? false, size, offset, after };
  const { keys, next } = await listKeyFigures(server.database, page, server.clock.now());
  return c.json({ data: keys.map(keyObject), next_page_token: next === null ? null : encodePosition(next) });
}

async function showOwnKey(server: Server, c: HttpContext): Promise<Response> {
  const own = await authenticate(server, c);
  const figures = await readFigures(server, own.hash);
  const { label, limit, limit_reset, limit_remaining, expires_at, ...object } = keyObject(figures);
  const { usage, usage_daily, usage_weekly, usage_monthly } = object;
  const data = {
    label,
    limit,
    limit_reset,
    limit_remaining,
    usage,
    usage_daily,
    usage_weekly,
    usage_monthly,
    is_free_tier: own.kind === "test",
    expires_at,
    rate_limit: rateInForce(server, figures),
  };
  return c.json({ data });
}

/** The same limit as `X-RateLimit-*` shows: per minute, or per day where the key has only that one. */
function rateInForce(server: Server, { key }: KeyFigures): { requests: number | null; interval: "60s" | "1d" } {
  const perMinute = perMinuteLimit(key, server.config);
  if (perMinute === null && key.requests_per_day !== null) return { requests: key.requests_per_day, interval: "1d" };
  return { requests: perMinute, interval: "60s" };
}

const hashOf = (c: HttpContext): string => c.req.param("hash") ?? "";

/** @throws PublicError not_found */
async function readFigures(server: Server, hash: string): Promise<KeyFigures> {
  const figures = await readKeyFigures(server.database, hash, server.clock.now());
  if (figures === undefined) throw noSuchKey();
  return figures;
}

function rulesOf({ catalogue, providers, clock, config }: Server): KeyRules {
  const { webhookOrigins } = config;
  return { catalogue, providers: providers.all.map(({ adapter }) => adapter.id), now: clock.now(), webhookOrigins };
}

async function readKeyBody(c: HttpContext): Promise<KeyBody> {
  // By holder: an object inside the body may have a field of this name too.
  const literals = new Map<unknown, string>();
  const fields = await readJsonObject(c, function (this: unknown, name, value, context) {
    if (name === "limit" && typeof value === "number" && context?.source !== undefined)
      literals.set(this, context.source);
    return value;
  });
  return { fields, limitLiteral: literals.get(fields) };
}

/** Opaque to clients: the place after the page's last key, which is the same however many keys come before it. */
function encodePosition({ createdAt, hash }: KeyPosition): string {
  return Buffer.from(`${createdAt}.${hash}`).toString("base64url");
}

function decodePosition(token: string): KeyPosition {
  const [, createdAt, hash] = /^(\d{1,15})\.([0-9a-f]{64})$/.exec(Buffer.from(token, "base64url").toString()) ?? [];
  if (createdAt === undefined || hash === undefined) {
    throw invalidValue("page_token", `Invalid 'page_token': '${shown(token)}' is none that this API has given out.`);
  }
  return { createdAt: Number(createdAt), hash };
}

const queryInteger =
  (minimum: number, maximum: number) =>
  (text: string, name: string): number => {
    if (!/^-?\d{1,15}$/.test(text)) throw invalidType(name, "an integer", text);
    const value = Number(text);
    if (value < minimum) throw integerBelow(name, minimum, value);
    if (value > maximum) throw integerAbove(name, maximum, value);
    return value;
  };

function queryBoolean(text: string, name: string): boolean {
  // Python's clients write `True`.
  const word = text.toLowerCase();
  if (word !== "true" && word !== "false") throw notInList(name, text, ["true", "false"]);
  return word === "true";
}
