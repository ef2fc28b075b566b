/** What several adapters need to read a reply: failures with safe messages, waiting times, tolerant optional fields. */
import { z } from "zod";
import type { Failure, FailureClass, Reply, ReplyBody, Step } from "./provider.ts";

const maxMessageCharacters = 500;

/** An optional part of a reply: null, absent and unusable are the same, so that an extra never costs a paid picture. */
export const optional = <Schema extends z.ZodType>(schema: Schema) => schema.nullish().catch(undefined);

/**
 * Text from outside, fit for logs and clients: without keys, organisation ids or long encoded runs (a vendor echoes
 * the key it rejects, §2.6, and an echoed body may hold picture bytes), on one line, at most 500 characters.
 */
export function safeText(text: string): string {
  const cut = text
    .replace(/[\s\p{Cc}]+/gu, " ")
    .replace(/(\bAPI[ _-]?key(?: provided)?\s*[:=]\s*|\bBearer\s+(?=\S{8}))[^\s,;]*[^\s,;.]/gi, "$1[key]")
    .replace(/\b(?:sk|rk|pk|r8|lr|whsec)[-_][\w*.-]*[\w*]/gi, "[key]")
    .replace(/\borg-\w+/g, "[organization]")
    .replace(/[\w+/=-]{48,}/g, "[…]")
    .trim();
  return cut.length <= maxMessageCharacters ? cut : `${cut.slice(0, maxMessageCharacters - 1).toWellFormed()}…`;
}

type Details = { [Key in "param" | "categories" | "retryAfterMs"]?: Failure[Key] | undefined } & {
  upstreamId?: string | undefined;
};

export function failed(failureClass: FailureClass, message: string, details: Details = {}): Step {
  const { retryAfterMs, upstreamId } = details;
  const param = safeText(details.param ?? "");
  const categories = (details.categories ?? []).slice(0, 20).flatMap((category) => safeText(category) || []);
  const failure: Failure = { class: failureClass, message: safeText(message) || "The provider gives no reason." };
  if (param) failure.param = param;
  if (categories.length > 0) failure.categories = categories;
  if (retryAfterMs !== undefined) failure.retryAfterMs = retryAfterMs;
  return upstreamId === undefined ? { kind: "failed", failure } : { kind: "failed", failure, upstreamId };
}

/** A value that a vendor's closed list does not know, named only as far as it cannot be content. */
export const nameOf = (value: string): string =>
  /^[\w.-]{1,40}$/.test(value) ? `\`${value}\`` : "of an unreadable form";

/** A body's shape in words, without its content. */
export function describe(body: ReplyBody): string {
  if (body.kind === "image") return "a picture as the body";
  if (body.kind === "text") return body.text === "" ? "an empty body" : "a body that is not JSON";
  const { value } = body;
  if (value === null || typeof value !== "object") return `JSON ${value === null ? "null" : typeof value}`;
  if (Array.isArray(value)) return "a JSON array";
  const keys = Object.keys(value).filter((key) => /^[\w.-]{1,40}$/.test(key));
  return keys.length === 0 ? "a JSON object without readable keys" : `a JSON object of ${keys.slice(0, 10).join(", ")}`;
}

/** Fallback where the vendor's body has no words of its own. */
export const describeReply = (reply: Reply): string => `HTTP ${reply.status} with ${describe(reply.body)}`;

/**
 * What an HTTP status alone says, the same for every vendor, for replies whose body says no more. 408, 409 and 425 are
 * complete answers that the official clients retry (§2.1). Any other status is nothing we know: `contract_changed`, in
 * our own words only, since nobody has documented what the body may hold.
 */
export function failedByStatus(reply: Reply, message: string, details: Details = {}): Step {
  const failureClass = reply.status >= 500 && reply.status <= 599 ? "upstream_error" : statusClasses[reply.status];
  if (failureClass === undefined) return failed("contract_changed", describeReply(reply), details);
  return failed(failureClass, message, details);
}

const statusClasses: Readonly<Record<number, FailureClass>> = {
  401: "auth",
  402: "quota",
  403: "auth",
  408: "upstream_error",
  409: "upstream_error",
  413: "invalid_request",
  425: "upstream_error",
  429: "rate_limited",
};

/** `12` or `0.5` in the given unit, in milliseconds; undefined for anything else. */
function milliseconds(text: string | undefined, unitMs: number): number | undefined {
  return text !== undefined && /^\d{1,9}(\.\d{1,9})?$/.test(text.trim()) ? Math.ceil(Number(text) * unitMs) : undefined;
}

/** The waiting time in the headers: `retry-after-ms` before `retry-after` (§2.1), which may be a date (RFC 9110, 10.2.3). */
export function retryAfterMs(headers: Reply["headers"]): number | undefined {
  const { "retry-after-ms": inMs, "retry-after": after, date } = headers;
  return milliseconds(inMs, 1) ?? milliseconds(after, 1000) ?? untilDate(after, date);
}

/** By the sender's own clock, which wrote both. */
function untilDate(after: string | undefined, date: string | undefined): number | undefined {
  if (after === undefined || !/^[A-Za-z]{3},? /.test(after)) return undefined;
  const ms = Date.parse(after) - Date.parse(date ?? "");
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

export const secondsToMs = (seconds: string | number | null | undefined): number | undefined =>
  seconds === null || seconds === undefined ? undefined : milliseconds(String(seconds), 1000);

/** The upstream's name of this call, where its headers give one. */
export function requestId(headers: Reply["headers"]): string | undefined {
  const id = headers["x-request-id"];
  return id !== undefined && /^[\x21-\x7e]{1,200}$/.test(id) ? id : undefined;
}

/** A link the transport can fetch. `data:` and the like are not: picture bytes do not belong into strings. */
export const linkSchema = z.string().refine((text) => /^https?:\/\//i.test(text) && URL.canParse(text));
