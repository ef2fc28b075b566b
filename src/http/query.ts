/** Query parameters of reports: each is read by one function, what cannot be read is refused by name. */
import type { Position } from "../accounts/reports.ts";
import { PublicError } from "../errors.ts";
import { parseIsoTime } from "../iso-time.ts";
import type { HttpContext } from "./types.ts";

/** @throws PublicError invalid_value naming the parameter and what is allowed */
type Read<T> = (value: string, name: string) => T;

const invalid = (name: string, value: string, allowed: string) =>
  new PublicError("invalid_value", `Invalid value for '${name}': '${value}'. Expected ${allowed}.`, { param: name });

/**
 * The request's query parameters. `key` may be there too: it can be the credential.
 * @throws PublicError unknown_parameter, invalid_value
 */
export function readQuery<T extends Record<string, Read<unknown>>>(
  c: HttpContext,
  readers: T,
): { [Name in keyof T]?: ReturnType<T[Name]> } {
  const values: Record<string, unknown> = {};
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (name === "key") continue;
    const read = Object.hasOwn(readers, name) ? readers[name] : undefined;
    if (read === undefined) {
      const known = Object.keys(readers).join("', '");
      throw new PublicError("unknown_parameter", `Unknown parameter: '${name}'. Known here are '${known}'.`, {
        param: name,
      });
    }
    if (name in values) throw invalid(name, value, "to be given once");
    values[name] = read(value, name);
  }
  return values as { [Name in keyof T]?: ReturnType<T[Name]> };
}

export const text: Read<string> = (value, name) => {
  if (value.trim() === "") throw invalid(name, value, "text that is not empty");
  return value;
};

/** A key's hash, as `GET /api/v1/keys` lists it. */
export const keyHash: Read<string> = (value, name) => {
  if (!/^[0-9a-f]{64}$/.test(value)) throw invalid(name, value, "the key's hash: 64 hexadecimal digits");
  return value;
};

export const oneOf =
  <T extends string>(...allowed: T[]): Read<T> =>
  (value, name) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw invalid(name, value, `one of '${allowed.join("', '")}'`);
    return found;
  };

export const integer =
  (least: number, most: number): Read<number> =>
  (value, name) => {
    const number = Number(value);
    if (!/^\d{1,9}$/.test(value) || number < least || number > most) {
      throw invalid(name, value, `an integer from ${least} to ${most}`);
    }
    return number;
  };

/** ISO 8601 (UTC unless it says otherwise) or Unix seconds → Unix milliseconds. */
export const time: Read<number> = (value, name) => {
  if (/^\d{1,11}$/.test(value)) return Number(value) * 1000;
  // In a query `+` is a space, and people forget to write %2B.
  const milliseconds = parseIsoTime(value.replace(/ (\d{2}:\d{2})$/, "+$1"));
  if (milliseconds === null) throw invalid(name, value, "ISO 8601, e.g. '2026-09-01T00:00:00Z', or Unix seconds");
  return milliseconds;
};

/** @throws PublicError invalid_value when nothing can lie between */
export function checkRange(range: { start_time?: number; end_time?: number }): void {
  const { start_time: start = 0, end_time: end = Number.POSITIVE_INFINITY } = range;
  if (start >= end) throw invalid("end_time", new Date(end).toISOString(), "a time after 'start_time'");
}

/** Where the next page begins, opaque to clients. */
export function formatPageToken(position: Position | null): string | null {
  return position === null ? null : Buffer.from(`${position.createdAt} ${position.id}`).toString("base64url");
}

export const pageToken: Read<Position> = (value, name) => {
  const match = /^(\d{1,15}) (\w{3}-[0-9a-z]{1,40})$/.exec(Buffer.from(value, "base64url").toString());
  if (match === null) throw invalid(name, value, "the 'next_page_token' of an earlier page");
  return { createdAt: Number(match[1]), id: match[2] ?? "" };
};
