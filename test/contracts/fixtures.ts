/**
 * Golden wire fixtures: `test/fixtures/<provider>/<case>.json`, one file a case. Raw documents as they come over the
 * wire, with short dummy text where base64 pictures stand; `load` puts the handles in, as the transport does.
 *
 * Every file has `case` (its name), `source`, `confidence`, and `cell` where it fills one of the `matrix`. Then:
 * - a call: `job`, `expectCall` (and `baseUrl`);
 * - an answer: `job`, `reply`, `expect` (and `baseUrl`); `{"$inlineImage": 0}` in `expect` is the handle of that number;
 * - an event stream: `job`, `headers`, `events` (`name` and `data` each), `expect` with one step for each event;
 * - what only the transport sees: `transport`, `wire`, `expect`;
 * - `not_applicable` with a reason, or, better, a line in the table of `adapters.test.ts`.
 * A `job` without an `operation` asks to generate. `{"$inputFile": "file", "image": "fox"}` is a picture of the client's
 * in that form, `fox` (a PNG of 64x64), `hat` (a JPEG) or `mask` (a PNG), in jobs and in calls alike.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InputFile, type InputImage } from "../../src/providers/input.ts";
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
  /** A call with the client's pictures. */
  "edits",
  "success",
  "several",
  "pending",
  "partial_delivery",
  /** Previews and a final picture as events. */
  "stream",
  /** An error after HTTP 200. */
  "stream_error",
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
export type Cell = (typeof matrix)[number];

interface Described {
  case: string;
  cell?: string;
  source: string;
  /** Confidence mark of upstream-apis.md. */
  confidence: "S" | "M" | "U";
}
export interface SubmitFixture extends Described {
  job: ProviderJob;
  baseUrl?: string;
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
export interface StreamFixture extends Described {
  job: ProviderJob;
  headers: Record<string, string>;
  events: { name: string; data: unknown }[];
  /** One whole step for each event. */
  expect: unknown[];
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
export type Fixture = SubmitFixture | ReadFixture | StreamFixture | TransportFixture | NotApplicable;

const inputImage = (contentType: InputImage["contentType"], side: number, digit: string): InputImage => ({
  contentType,
  width: side,
  height: side,
  bytes: 70,
  sha256: digit.repeat(64),
  open: () => new Blob([new Uint8Array(70)], { type: contentType }),
});
const inputImages: Record<string, InputImage> = {
  fox: inputImage("image/png", 64, "a"),
  hat: inputImage("image/jpeg", 32, "b"),
  mask: inputImage("image/png", 64, "c"),
};

/** Puts the client's pictures where a fixture names them. */
function withInputs<Value>(value: Value): Value {
  return mapped(value, (node) => {
    if (!("$inputFile" in node)) return undefined;
    const image = inputImages[String(Reflect.get(node, "image"))];
    const form = node.$inputFile;
    if (image === undefined || (form !== "file" && form !== "base64" && form !== "data_url"))
      throw new Error(`no such input file: ${JSON.stringify(node)}`);
    return new InputFile(image, form);
  }) as Value;
}

function mapped(value: unknown, replace: (node: object) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapped(item, replace));
  if (value === null || typeof value !== "object" || value instanceof InlineImage) return value;
  const replaced = replace(value);
  if (replaced !== undefined) return replaced;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapped(item, replace)]));
}

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

const expectedHandles = (value: unknown): unknown =>
  mapped(value, (node) => ("$inlineImage" in node ? new InlineImage(Number(node.$inlineImage)) : undefined));

function prepare(raw: Fixture, adapter: Adapter): Fixture {
  if (!("job" in raw)) return raw;
  const job = withInputs(raw.job);
  const fixture = { ...raw, job: { ...job, operation: job.operation ?? "generate" } };
  if ("expectCall" in fixture) return { ...fixture, expectCall: withInputs(fixture.expectCall) };
  if ("events" in fixture) {
    const events = withHandles(fixture.events, adapter.inlineImageFields) as StreamFixture["events"];
    return { ...fixture, events, expect: fixture.expect.map(expectedHandles) };
  }
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
