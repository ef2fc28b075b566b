/**
 * Golden wire fixtures: `test/fixtures/<provider>/<case>.json`, one file a case. Raw documents as they come over the
 * wire, with short dummy text where base64 pictures stand; `load` puts the handles in, as the transport does.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Adapter,
  type HttpCall,
  InlineImage,
  type ProviderJob,
  type Reply,
} from "../../src/providers/provider.ts";

const folder = join(import.meta.dirname, "..", "fixtures");

/** Cells that every adapter fills, or declares `not_applicable` with a reason. */
export const matrix = [
  "submit",
  "success",
  "several",
  "pending",
  "partial_delivery",
  "refused",
  "refused_output",
  /** 401 */
  "unauthorized",
  /** 402, or the vendor's answer for an empty account. */
  "quota",
  /** 403 */
  "forbidden",
  /** 422, or the vendor's answer for a parameter it rejects. */
  "invalid_parameter",
  /** 429 */
  "rate_limited",
  /** 5xx */
  "server_error",
  "html_502",
  "unavailable_model",
  "unknown_status",
  "malformed",
  "truncated",
  "timeout",
] as const;

interface Described {
  case: string;
  cell?: string;
  source: string;
  /** Confidence mark of upstream-apis.md. */
  confidence: "S" | "M" | "U";
}
export interface SubmitFixture extends Described {
  job: ProviderJob;
  expectCall: HttpCall;
}
export interface ReadFixture extends Described {
  job: ProviderJob;
  /** The vendor's own where absent. */
  baseUrl?: string;
  reply: Reply;
  /** A whole step, not a part of one. */
  expect: unknown;
}
/** For the transport's tests, against a raw socket: the upstream sends `wire.sent` and then closes or keeps silent. */
export interface TransportFixture extends Described {
  transport: true;
  job: ProviderJob;
  wire: {
    status?: number;
    headers?: Record<string, string>;
    sent: { kind: "text"; text: string } | { kind: "base64"; base64: string } | null;
    /** What the upstream does after that. */
    then: "close" | "silence";
  };
  expect: { kind: "failed"; failure: { class: string } };
}
interface NotApplicable extends Described {
  not_applicable: string;
}
export type Fixture = SubmitFixture | ReadFixture | TransportFixture | NotApplicable;

/** Strings under the named fields become handles, numbered in the order of the document. */
export function withHandles(value: unknown, fields: readonly string[], counter = { next: 0 }): unknown {
  if (Array.isArray(value)) return value.map((item) => withHandles(item, fields, counter));
  if (value === null || typeof value !== "object" || value instanceof InlineImage) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) =>
      fields.includes(key) && typeof item === "string"
        ? [key, new InlineImage(counter.next++)]
        : [key, withHandles(item, fields, counter)],
    ),
  );
}

/** `{"$inlineImage": 0}` in an expectation is the handle of that number. */
function expectedHandles(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expectedHandles);
  if (value === null || typeof value !== "object") return value;
  if ("$inlineImage" in value) return new InlineImage(Number(value.$inlineImage));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, expectedHandles(item)]));
}

function prepare(fixture: Fixture, adapter: Adapter): Fixture {
  if (!("reply" in fixture)) return fixture;
  // In the file a picture as the body is `{"kind":"image"}` alone.
  const body: Reply["body"] =
    fixture.reply.body.kind === "image"
      ? { kind: "image", image: new InlineImage(0) }
      : fixture.reply.body.kind === "json"
        ? { kind: "json", value: withHandles(fixture.reply.body.value, adapter.inlineImageFields) }
        : fixture.reply.body;
  return { ...fixture, reply: { ...fixture.reply, body }, expect: expectedHandles(fixture.expect) };
}

/** Every fixture of an adapter, by file name without its ending. */
export function load(adapter: Adapter): { file: string; fixture: Fixture }[] {
  const names = readdirSync(join(folder, adapter.id)).filter((name) => name.endsWith(".json"));
  return names.sort().map((name) => {
    const fixture: Fixture = JSON.parse(readFileSync(join(folder, adapter.id, name), "utf8"));
    return { file: name.slice(0, -".json".length), fixture: prepare(fixture, adapter) };
  });
}

/** A deep copy-free freeze: a function that is given it cannot leave a trace. */
export function freeze<Value>(value: Value): Value {
  if (value !== null && typeof value === "object" && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) freeze(part);
  }
  return value;
}
