/** One HTTP call of an adapter and its reply. Credentials go to the provider's own origins only. */
import { parseInlineJson, ReplyTooLongError, readInlineJson } from "./inline-json.ts";
import { type ImageIntake, ImageIntakeError, ImageStoreError } from "./intake.ts";
import { isOwnOrigin, mayCarryCredential } from "./own-origins.ts";
import {
  type Adapter,
  type Failure,
  type FailureClass,
  type HttpCall,
  InlineImage,
  type Reply,
  type ReplyBody,
} from "./provider.ts";
import { requestBody } from "./request-body.ts";

/** Largest reply, or event of a stream, without its pictures. Real ones are a few kilobytes. */
export const maxRestBytes = 4 << 20;
/** Of a reply that is not JSON, this much is shown to the adapter. */
const maxTextChars = 2_000;

/** An upstream as configured: protocol, address, and the credential chosen for this attempt. */
export interface Upstream {
  adapter: Adapter;
  /** Without a trailing slash. */
  baseUrl: string;
  /** Set when the operator set the base URL. */
  trustedOrigin: string | undefined;
  credential: string;
}

export interface CallOptions {
  send: typeof fetch;
  signal: AbortSignal;
}

export interface ReadOptions {
  signal: AbortSignal;
  /** Where the next picture inside the reply goes, and the number that its `InlineImage` carries. */
  newInline(): { image: ImageIntake; index: number };
}

/** A failure that the transport itself found: nothing the adapter could read. */
export class TransportFailure extends Error {
  readonly failureClass: FailureClass;
  constructor(failureClass: FailureClass, message: string) {
    super(message);
    this.failureClass = failureClass;
  }
}

/**
 * Makes a call, up to the head of its answer.
 * @throws TransportFailure, or what kept us from reading a picture that the client gave
 */
export async function makeCall(
  { adapter, baseUrl, credential }: Upstream,
  call: HttpCall,
  { send, signal }: CallOptions,
): Promise<Response> {
  const url = URL.parse(call.url.startsWith("/") ? baseUrl + call.url : call.url);
  if (url === null || !isOwnOrigin(adapter, url, new URL(baseUrl))) {
    throw new TransportFailure("contract_changed", "the provider sent us to another origin");
  }
  const body = requestBody(call.body);
  const headers = new Headers({
    accept: "application/json",
    "user-agent": "arouter",
    ...call.headers,
    ...body?.headers,
  });
  if (mayCarryCredential(adapter, url, new URL(baseUrl))) {
    for (const [name, value] of Object.entries(adapter.authorize(credential))) headers.set(name, value);
  }
  const init: RequestInit & { timeout?: boolean } = {
    method: call.method,
    headers,
    redirect: "manual",
    signal,
    timeout: false,
    ...(body === null ? {} : { body: body.body }),
  };
  try {
    return await during(signal, () => send(url.href, init));
  } catch (error) {
    throw body?.failure ?? error;
  }
}

/**
 * Reads a whole reply; pictures in it are written to their intakes while they arrive.
 * @throws TransportFailure, ImageIntakeError, ImageStoreError, ReplyTooLongError
 */
export async function readReply(
  response: Response,
  { inlineImageFields }: Pick<Adapter, "inlineImageFields">,
  options: ReadOptions,
): Promise<Pick<Reply, "status" | "headers" | "body">> {
  const body = await during(options.signal, () => readBody(response, inlineImageFields, options));
  return { status: response.status, headers: Object.fromEntries(response.headers), body };
}

async function readBody(
  response: Response,
  inlineImageFields: readonly string[],
  { newInline }: ReadOptions,
): Promise<ReplyBody> {
  const stream: AsyncIterable<Uint8Array> = response.body ?? empty();
  const contentType = response.headers.get("content-type") ?? "";
  if (response.ok && contentType.startsWith("image/")) {
    const { image, index } = newInline();
    for await (const chunk of stream) await image.write(chunk);
    return { kind: "image", image: new InlineImage(index) };
  }
  const fields = response.ok ? inlineImageFields : [];
  let firstIndex: number | undefined;
  const newImage = () => {
    const { image, index } = newInline();
    firstIndex ??= index;
    return image;
  };
  const document = await readInlineJson(stream, { fields, newImage, maxRestBytes });
  try {
    return { kind: "json", value: parseInlineJson(document, fields, firstIndex) };
  } catch {
    return { kind: "text", text: document.text.slice(0, maxTextChars) };
  }
}

/** Says of what fails on the wire what that means for the call. */
export async function during<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw transportFailure(error, signal);
  }
}

function transportFailure(error: unknown, signal: AbortSignal): unknown {
  const isTold =
    error instanceof TransportFailure ||
    error instanceof ImageIntakeError ||
    error instanceof ImageStoreError ||
    error instanceof ReplyTooLongError;
  if (isTold) return error;
  if (signal.aborted) return new TransportFailure("timeout", "the provider did not answer in time");
  const code = (error as { code?: string }).code ?? "";
  if (code === "") return error;
  if (isNeverSent(code, String((error as Error).message))) {
    return new TransportFailure("unreachable", `no connection to the provider (${code})`);
  }
  return new TransportFailure("outcome_unknown", `the connection to the provider was cut (${code})`);
}

/** @returns the failure to report for what `exchange` threw, or null when the fault is ours and must be thrown on */
export function explainThrown(error: unknown): Failure | null {
  if (error instanceof TransportFailure) return { class: error.failureClass, message: error.message };
  if (error instanceof ImageIntakeError || error instanceof ReplyTooLongError) {
    return { class: "contract_changed", message: error.message };
  }
  return null;
}

/** Codes of the runtime for calls that failed before a byte of the request left (seen on Bun 1.4.5). */
const neverSentCodes = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EADDRNOTAVAIL",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
]);

function isNeverSent(code: string, message: string): boolean {
  if (neverSentCodes.has(code) || code.startsWith("CERT_") || code.startsWith("ERR_TLS_CERT")) return true;
  return code === "EPROTO" && /handshake/i.test(message);
}

async function* empty(): AsyncGenerator<Uint8Array> {}
