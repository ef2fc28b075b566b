/** One HTTP call of an adapter and its reply. Credentials go to the provider's own origin only. */
import { parseInlineJson, ReplyTooLongError, readInlineJson } from "./inline-json.ts";
import { type ImageIntake, ImageIntakeError, ImageStoreError } from "./intake.ts";
import {
  type Adapter,
  type Failure,
  type FailureClass,
  type HttpCall,
  InlineImage,
  type Reply,
  type ReplyBody,
} from "./provider.ts";

/** Largest reply without its pictures. Real ones are a few kilobytes. */
const maxRestBytes = 4 << 20;
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

export interface ExchangeOptions {
  send: typeof fetch;
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
 * Makes the call and reads its whole reply; pictures in it are written to their intakes while they arrive.
 * @throws TransportFailure, ImageIntakeError, ImageStoreError, ReplyTooLongError
 */
export async function exchange(
  { adapter, baseUrl, credential }: Upstream,
  call: HttpCall,
  purpose: Reply["purpose"],
  options: ExchangeOptions,
): Promise<Reply> {
  const url = call.url.startsWith("/") ? baseUrl + call.url : call.url;
  if (!URL.canParse(url) || new URL(url).origin !== new URL(baseUrl).origin) {
    throw new TransportFailure("contract_changed", "the provider sent us to another origin");
  }
  const headers = new Headers({ accept: "application/json", "user-agent": "arouter", ...call.headers });
  for (const [name, value] of Object.entries(adapter.authorize(credential))) headers.set(name, value);
  const init: RequestInit & { timeout?: boolean } = {
    method: call.method,
    headers,
    redirect: "manual",
    signal: options.signal,
    timeout: false,
  };
  if (call.body?.kind === "json") {
    headers.set("content-type", "application/json");
    init.body = JSON.stringify(call.body.value);
  } else if (call.body?.kind === "multipart") {
    const form = new FormData();
    for (const [name, value] of Object.entries(call.body.fields)) form.set(name, value);
    init.body = form;
  }
  try {
    const response = await options.send(url, init);
    return {
      purpose,
      status: response.status,
      headers: Object.fromEntries(response.headers),
      body: await readBody(response, adapter.inlineImageFields, options),
    };
  } catch (error) {
    throw transportFailure(error, options.signal);
  }
}

async function readBody(
  response: Response,
  inlineImageFields: readonly string[],
  { newInline }: ExchangeOptions,
): Promise<ReplyBody> {
  const stream: AsyncIterable<Uint8Array> = response.body ?? empty();
  const contentType = response.headers.get("content-type") ?? "";
  if (response.ok && contentType.startsWith("image/")) {
    const { image, index } = newInline();
    for await (const chunk of stream) await image.write(chunk);
    return { kind: "image", image: new InlineImage(index) };
  }
  const fields = response.ok ? inlineImageFields : [];
  const { text, images } = await readInlineJson(stream, { fields, newImage: () => newInline().image, maxRestBytes });
  try {
    return { kind: "json", value: parseInlineJson(text, images, fields) };
  } catch {
    return { kind: "text", text: text.slice(0, maxTextChars) };
  }
}

function transportFailure(error: unknown, signal: AbortSignal): unknown {
  if (error instanceof ImageIntakeError || error instanceof ImageStoreError || error instanceof ReplyTooLongError) {
    return error;
  }
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
