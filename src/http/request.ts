/** Reading a request: credential, origin, body. */
import { authenticate as findKey, type Key } from "../accounts/keys.ts";
import { PublicError } from "../errors.ts";
import type { HttpContext, Server } from "./types.ts";

export const maxJsonBytes = 10 << 20;
/** After a body that is too large, this much more is read, so that the client gets to see the answer. */
export const drainBytes = 1 << 20;

/**
 * The key behind `Authorization: Bearer`, `X-Api-Key` or `?key=`, in this order.
 * @throws PublicError invalid_api_key, key_disabled, key_expired
 */
export async function authenticate(server: Server, c: HttpContext): Promise<Key> {
  const authorization = c.req.header("authorization");
  const secret =
    authorization === undefined
      ? (c.req.header("x-api-key") ?? c.req.query("key"))
      : /^bearer\s+(\S+)\s*$/i.exec(authorization)?.[1];
  if (secret === undefined || secret === "") {
    throw new PublicError(
      "invalid_api_key",
      "You didn't provide an API key. Send it as 'Authorization: Bearer lr_…', as 'X-Api-Key', or as '?key='.",
    );
  }
  const key = await findKey(server.database, secret, server.clock);
  c.get("log").key = key.label;
  return key;
}

/** @throws PublicError wrong_key_type when the key may only manage */
export function requireInference(key: Key): void {
  if (key.kind === "management") {
    throw new PublicError("wrong_key_type", "Management keys cannot do this. Use an lr_live_ or lr_test_ key.");
  }
}

/** @throws PublicError wrong_key_type when the key can only generate */
export function requireManagement(key: Key): void {
  if (key.kind === "management") return;
  throw new PublicError("wrong_key_type", "Only a management key can do this. Use an lr_mgmt_ key.");
}

/** Origin of links: the operator's setting, else where the client found us. */
export function originOf(server: Server, c: HttpContext): string {
  return server.config.publicUrl ?? new URL(c.req.url).origin;
}

/** What `JSON.parse` takes. Only the source tells a number as it was written, before it was rounded. */
export type Reviver = (this: unknown, name: string, value: unknown, context?: { source?: string }) => unknown;

/** Without its parameters, in lower case; empty where none is sent. */
export function contentTypeOf(c: HttpContext): string {
  return c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
}

/** @throws PublicError unsupported_media_type for a compressed body */
export function requireIdentity(c: HttpContext): void {
  const encoding = c.req.header("content-encoding")?.toLowerCase() ?? "identity";
  if (encoding === "identity") return;
  throw new PublicError(
    "unsupported_media_type",
    `Unsupported content encoding '${encoding}'. Send the body as it is.`,
  );
}

/**
 * The request's body as a JSON object.
 * @param options maxBytes: a larger body is refused. accepted: what else than JSON may be sent here, for the refusal
 * @throws PublicError unsupported_media_type, payload_too_large, invalid_json, invalid_type
 */
export async function readJsonObject(
  c: HttpContext,
  reviver?: Reviver,
  { maxBytes = maxJsonBytes, accepted = "" }: { maxBytes?: number; accepted?: string } = {},
): Promise<Record<string, unknown>> {
  const contentType = contentTypeOf(c);
  if (contentType !== "" && contentType !== "application/json" && !contentType.endsWith("+json")) {
    throw new PublicError(
      "unsupported_media_type",
      `Unsupported content type '${contentType}'. Send 'application/json'${accepted === "" ? "" : ` or '${accepted}'`}.`,
    );
  }
  requireIdentity(c);
  const bytes = await readBody(c.req.raw, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes), reviver);
  } catch {
    throw new PublicError("invalid_json", "We could not parse the JSON body of your request.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new PublicError("invalid_type", "Invalid type for the request body: expected an object.");
  }
  return value as Record<string, unknown>;
}

async function readBody(request: Request, maxBytes: number): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared <= maxBytes && !request.headers.has("transfer-encoding"))
    return new Uint8Array(await request.arrayBuffer());
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes <= maxBytes) chunks.push(chunk);
    else if (bytes > maxBytes + drainBytes) break;
  }
  if (bytes > maxBytes) {
    throw new PublicError("payload_too_large", `The request body is larger than ${maxBytes} bytes.`);
  }
  return Buffer.concat(chunks);
}
