/** One signed event on its way: checked and pinned address, no redirects, a time limit. */
import { AddressRefusedError, checkAddress } from "../providers/address.ts";
import type { WebhookPorts } from "./ports.ts";
import { signedHeaders } from "./signature.ts";
import { isTrusted } from "./url.ts";

/** From the look-up of the host name to the status line of the answer. */
export const attemptLimitMs = 15_000;
/** A stopping program waits so long for answers that are on their way. */
const stopGraceMs = 2_000;

export interface Message {
  url: string;
  /** `webhook-id` */
  id: string;
  /** JSON; these very characters are signed and sent. */
  body: string;
  /** `whsec_…`, at least one. */
  secrets: readonly string[];
}

export interface Posted {
  /** What was sent beside the body. */
  headers: Record<string, string>;
  /** Null without an answer. */
  status: number | null;
  /** Null when it was delivered. Shown to the key's holder: says nothing about what lies inside the operator's network. */
  problem: string | null;
  /** For the operator's log only. */
  reason: string | undefined;
  /** The answer's `Retry-After`, in milliseconds. */
  retryAfterMs: number | undefined;
}

/** The same words whether the name leads nowhere, to a private address, or to where nothing listens. */
const unreachable = "no connection: the host has no public address, or nothing answers there";

/** Never throws for what the recipient does. @param signal aborts when the program stops */
export async function post(ports: WebhookPorts, message: Message, signal?: AbortSignal): Promise<Posted> {
  const { clock } = ports;
  const headers = {
    "content-type": "application/json",
    "user-agent": "arouter",
    ...signedHeaders(message, message.secrets, clock.now()),
  };
  const limit = new AbortController();
  const ended = new AbortController();
  void clock.sleep(attemptLimitMs, ended.signal).then(() => limit.abort());
  const stop = () => void clock.sleep(stopGraceMs, ended.signal).then(() => limit.abort());
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const response = await send(ports, message, headers, limit.signal);
    const { status } = response;
    const retryAfterMs = retryAfter(response.headers.get("retry-after"), clock.now());
    // What the recipient says is nobody's business here, and may be without end.
    await response.body?.cancel().catch(() => {});
    return { headers, status, problem: problemOf(status), reason: undefined, retryAfterMs };
  } catch (error) {
    const overdue = signal?.aborted ? "the router stopped before there was an answer" : overdueWords;
    return {
      headers,
      status: null,
      problem: limit.signal.aborted ? overdue : explain(error),
      reason: reasonOf(error),
      retryAfterMs: undefined,
    };
  } finally {
    signal?.removeEventListener("abort", stop);
    ended.abort();
  }
}

const overdueWords = `no answer within ${attemptLimitMs / 1000} seconds`;

async function send(
  { config, transport }: WebhookPorts,
  { url, body }: Message,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Response> {
  const trustedOrigin = isTrusted(url, config.webhookOrigins) ? new URL(url).origin : undefined;
  const address = await inTime(checkAddress(url, trustedOrigin, transport.resolve), signal);
  return transport.fetch(address.pinnedUrl, {
    method: "POST",
    headers: { ...headers, host: address.host },
    body,
    redirect: "manual",
    signal,
    // A kept connection belongs to an address; the next recipient behind that address may have another certificate.
    keepalive: false,
    ...(address.serverName === undefined ? {} : { tls: { serverName: address.serverName } }),
  } as RequestInit);
}

/** Looking up a host name cannot be aborted, but nobody has to wait for it. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

function problemOf(status: number): string | null {
  if (status >= 200 && status <= 299) return null;
  if (status >= 300 && status <= 399) return `status ${status}; redirects are not followed`;
  if (status === 410) return "status 410; the recipient wants no more of this";
  return `status ${status}`;
}

/** Codes of the runtime for certificates that it does not accept (seen on Bun 1.4.5). */
const certificateCode = /CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)|EPROTO|SSL|TLS/;
const cutCodes = new Set(["ECONNRESET", "EPIPE", "ConnectionClosed"]);

function explain(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string") return unreachable;
  if (certificateCode.test(code)) return "the TLS connection failed; is the certificate valid for this host?";
  return cutCodes.has(code) ? "the connection was cut before there was an answer" : unreachable;
}

function reasonOf(error: unknown): string {
  if (error instanceof AddressRefusedError) return error.message.replace("the result link", "the URL");
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? "unknown";
}

/** Seconds or an HTTP date. */
function retryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined;
  const milliseconds = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return milliseconds > 0 ? milliseconds : undefined;
}
